"""Parts of envelopes: members that an event gets from around it, and the text of what is no event."""

from __future__ import annotations

from typing import Any

import orjson


def add_members(event: dict[str, Any], members: dict[str, Any]) -> None:
    """Add members to an event; one whose name is taken by another value is kept as ``<name>_raw``."""
    for key, value in members.items():
        name = key
        while name in event and event[name] != value:
            name += "_raw"
        event[name] = value


def text_of(part: Any) -> bytes:
    """Return the text of a part of an envelope that is no event, for the rejected file."""
    if isinstance(part, bytes):
        return part
    try:
        return orjson.dumps(part)
    except orjson.JSONEncodeError:
        return repr(part).encode("utf-8", "replace")
