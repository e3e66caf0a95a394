"""Object keys that a mask made equal: never two into one."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.serialiser import to_json

_EMITTER: Final = "emitter"  # the member whose value is the place held for the request's own fields


def with_different_names(line: bytes) -> bytes:
    """A masked line with every name different within its object: a name that is taken gets ``#2``, ``#3``."""
    held = next((place for place in PLACES if place in line), None)
    if held is not None:
        line = line.replace(held, b"null")
    event = json.loads(line, object_pairs_hook=_different)
    if held is not None:
        event[_EMITTER] = orjson.Fragment(held)
    return to_json(event)


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    taken = set(members)
    members = {}
    nth: dict[str, int] = {}
    for name, value in pairs:
        free = name
        while free in members or (free != name and free in taken):
            nth[name] = nth.get(name, 1) + 1
            free = f"{name}#{nth[name]}"
        members[free] = value
    return members
