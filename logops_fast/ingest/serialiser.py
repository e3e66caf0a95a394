"""Events to lines of JSON, with a slower way for values that orjson refuses."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

# orjson gives up at 254 levels; the parsers refuse an event that is that deep.
_DEEPEST: Final = 250
_SURROGATE: Final = re.compile(f"[{chr(0xD800)}-{chr(0xDFFF)}]")  # mypyc takes no such literal


def to_lines(events: list[dict[str, Any]]) -> bytes:
    """One JSON object a line, each ended by a newline, in UTF-8. Never fails."""
    try:
        return as_lines(events)
    except (TypeError, ValueError, RecursionError):
        return b"\n".join([*map(to_json, events), b""])


def as_lines(events: list[dict[str, Any]]) -> bytes:
    """As ``to_lines``. Raises orjson.JSONEncodeError if an event cannot be written as it is."""
    # One dumps an event, called from C, is within a tenth of one dumps for the whole list, and needs no parting of the
    # lines afterwards.
    return b"\n".join([*map(orjson.dumps, events), b""])


def to_text(value: Any) -> str:
    """A value that is no string, as JSON text."""
    return to_json(value).decode()


def to_json(value: Any) -> bytes:
    """One value as JSON. Never fails."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_storable(value, 0))


def _storable(value: Any, depth: int) -> Any:
    """A copy that orjson takes: integers over 64 bits as text, lone surrogates as U+FFFD, too deep a value as text."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**63) <= value < 2**64 else str(value)
    if depth >= _DEEPEST:
        return "(nested too deep)"
    if isinstance(value, dict):
        return {_storable(str(key), depth): _storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, float, orjson.Fragment)):
        return value
    return str(value)
