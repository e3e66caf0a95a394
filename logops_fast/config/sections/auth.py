"""``auth``: who may send."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from logops_fast.config.sections.base import Section

Mode = Literal["hmac", "api_key", "any", "none"]


class AuthFailures(Section, frozen=True):
    """The token bucket of failed authentications that each peer address has."""

    capacity: Annotated[int, Meta(ge=1, description="Failures a peer may have in a burst.")] = 100
    refill_per_sec: Annotated[float, Meta(gt=0, description="Failures given back each second.")] = 10.0


class AuthSettings(Section, frozen=True):
    """Who may send: the mode, the clock, the nonce and the keys."""

    mode: Annotated[
        Mode,
        Meta(
            description="`hmac`: signed requests; `api_key`: tokens; `any`: either; `none`: no authentication; see "
            "[authentication](authentication.md)."
        ),
    ] = "hmac"
    clock_tolerance: Annotated[
        float, Meta(ge=1, le=86_400, description="Seconds that X-Timestamp may be off, either way.")
    ] = 300.0
    require_nonce: Annotated[
        bool, Meta(description="Whether X-Nonce must be sent. Without a nonce a request can be replayed.")
    ] = True
    keys_file: Annotated[str, Meta(min_length=1, description="The file of clients and secrets; mode 0600.")] = (
        "data/keys.yaml"
    )
    audience: Annotated[
        str,
        Meta(
            max_length=256,
            pattern=r"^[!-~]*$",
            description="What requests of signature version 2 must name as their receiver; they are good nowhere else.",
        ),
    ] = ""
    secrets_as_keys: Annotated[
        bool,
        Meta(description="Whether a client's signing secret may be sent as its token, as in LogOps v0.4."),
    ] = False
    allow_plaintext_tokens: Annotated[
        bool,
        Meta(
            description="Whether tokens are accepted over plain HTTP from other machines; otherwise 403 `tls_required`."
        ),
    ] = False
    watch_keys: Annotated[bool, Meta(description="Whether a changed keys file is reloaded without a signal.")] = True
    failures: AuthFailures = AuthFailures()
