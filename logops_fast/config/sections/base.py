"""What the sections share: their base, and the types of addresses and secrets."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

SECRET: Final = {"secret": True}
"""Marks a value that is never shown: ``Meta(extra=SECRET)``."""

Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one.")]
Host = Annotated[str, Meta(min_length=1, description="Address to listen on: an IP address or a host name.")]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, and unknown keys are refused."""
