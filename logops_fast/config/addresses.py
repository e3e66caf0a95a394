"""Addresses to listen on, as one text: ``0.0.0.0:5514``, ``[::]:5514``, ``:5514`` for all addresses."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/\s]*)):(\d{1,5})", re.ASCII)
_LAST_PORT: Final = 65535


class Address(NamedTuple):
    """A host and a port; an empty host means all addresses, port 0 a free one."""

    host: str
    port: int


def address_of(text: str) -> Address | None:
    """Return the address that a text names, or None."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > _LAST_PORT:
        return None
    return Address(found[1] or found[2] or "", int(found[3]))
