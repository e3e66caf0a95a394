"""``pii``: masking and encryption."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from logops_fast.config.sections.base import SECRET, Section


class PiiSettings(Section, frozen=True):
    """Personal data: masking and encryption."""

    mask: Annotated[
        bool, Meta(description="Whether personal data and secrets are masked; see [privacy](privacy.md).")
    ] = True
    secrets: Annotated[
        bool,
        Meta(description="Whether `mask` covers secrets too: values under secrets' names, keys known by their form."),
    ] = True
    fields: Annotated[
        list[str],
        Meta(description="Names or globs (`*`, `?`) of fields that are masked whole, at any depth and in any case."),
    ] = []
    keep: Annotated[
        list[str], Meta(description="Names or globs of fields that no mask touches but that of `fields`.")
    ] = []
    encrypt: Annotated[
        bool, Meta(description="Whether the originals of `encrypt_fields` are kept, encrypted, as `<field>_enc`.")
    ] = False
    encrypt_fields: Annotated[
        list[str], Meta(description="The fields that `encrypt` keeps; each but `msg` is masked whole.")
    ] = field(default_factory=lambda: ["msg", "user_email", "client_ip"])
    fernet_keys_file: Annotated[
        str, Meta(description="File of Fernet keys, one a line: the first encrypts, all decrypt.")
    ] = "data/fernet.keys"
    fernet_key: Annotated[
        str, Meta(description="A Fernet key given here; used in place of the file. Never shown.", extra=SECRET)
    ] = ""
