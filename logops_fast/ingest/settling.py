"""Settling the fields of one event from other names than ``ts``, ``level``, ``msg`` and ``app``.

The normaliser calls these for what its loop could not settle by the exact names alone. Each changes the event in place.
A value that was meant for a field and does not read, or that the request overrules, is kept as ``<name>_raw``.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from logops_fast.ingest import aliases
from logops_fast.ingest.aliases import Aliases, Layout
from logops_fast.ingest.levels import MONOLOG, SYSLOG, USUAL, level_of
from logops_fast.ingest.names import LEVEL_NAMES, TS_NAMES
from logops_fast.ingest.timestamps import LEAST_NUMBER, canonical


def apply_own_names(event: dict[str, Any], own: Aliases, zone: tzinfo) -> None:
    """Take ts, level, msg and app from the names in the settings, where the event has none that reads."""
    layout = own.layout(event)
    if layout.ts and canonical(event.get("ts"), zone) is None:
        _settle_from(event, "ts", aliases.find_ts(event, layout, zone))
    if layout.level and level_of(event.get("level"), numbers_of(event)) is None:
        _settle_from(event, "level", aliases.find_level(event, layout))
    if layout.msg and (event.get("msg") is None or event["msg"] == ""):
        _settle_from(event, "msg", aliases.find_msg(event, layout))
    if layout.app:
        settle_origin(event, layout)


def _settle_from(event: dict[str, Any], name: str, found: aliases.Found | None) -> None:
    if found is not None:
        own = event.pop(name, None)
        _move(event, name, found)
        if own is not None and own != "":
            _keep(event, name + "_raw", own)


def settle_origin(event: dict[str, Any], layout: Layout) -> None:
    """Take ``app``, ``host`` and ``pid`` from their other names."""
    for name, candidates in (("app", layout.app), ("host", layout.host), ("pid", layout.pid)):
        if candidates and (event.get(name) is None or event[name] == ""):
            found = aliases.find_text(event, candidates)
            if found is not None:
                _move(event, name, found)


def _move(event: dict[str, Any], name: str, found: aliases.Found) -> None:
    """Store a value that was found under another name; a key of its own is renamed, an object stays whole."""
    candidate, value = found
    if candidate.key and not candidate.path:
        event.pop(candidate.key, None)
    event[name] = value


def settle_ts(event: dict[str, Any], layout: Layout, zone: tzinfo) -> str | None:
    """Settle the time of an event whose ``ts`` is absent or does not read, from another name; None if there is none.

    What does not read is kept as ``ts_raw``.
    """
    found = aliases.find_ts(event, layout, zone)
    own = event.pop("ts", None)
    if found is not None:
        _move(event, "ts", found)
    elif own is None or own == "":
        own = _unreadable(event, TS_NAMES)
    if own is not None and own != "":
        _keep(event, "ts_raw", own)
    return None if found is None else found[1]


def settle_level(event: dict[str, Any], layout: Layout) -> str | None:
    """Return the level of an event whose ``level`` is absent or does not read, from another name.

    Empty if the event has a level that does not read, which is kept as ``level_raw``; None if it has none at all.
    """
    found = aliases.find_level(event, layout)
    own = event.pop("level", None)
    if found is not None:
        _move(event, "level", found)
    elif own is None or own == "":
        own = _unreadable(event, LEVEL_NAMES)
    if own is not None and own != "":
        _keep(event, "level_raw", own)
        return "" if found is None else found[1]
    return None if found is None else found[1]


def _unreadable(event: dict[str, Any], exact_names: tuple[str, ...]) -> Any:
    """Take out the first value under an exact name, which was meant for the field and does not read.

    A number that is no time stays: an access log's ``time`` is how long the request took.
    """
    for name in exact_names:
        value = event.get(name)
        if value is not None and value != "":
            if exact_names is TS_NAMES and type(value) in (int, float) and 0 <= value < LEAST_NUMBER:
                continue
            del event[name]
            return value
    return None


def settle_msg(event: dict[str, Any], layout: Layout) -> str | None:
    """Settle the message of an event whose ``msg`` is absent or empty; the text it is, None if it is none."""
    found = aliases.find_msg(event, layout)
    if found is None:
        event["msg"] = ""
        return None
    is_text = aliases.is_text(event, found[0])
    _move(event, "msg", found)
    return found[1] if is_text else None


def numbers_of(event: dict[str, Any]) -> str:
    """Return the scale of a number under ``level``: it goes by what else the event has."""
    if "level_name" in event:
        return MONOLOG
    return SYSLOG if "short_message" in event else USUAL


def _keep(event: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value that was overruled, under a name that is free."""
    while name in event:
        name += "_raw"
    event[name] = value


def overrule(event: dict[str, Any], name: str, value: str) -> None:
    """Take the event's own ``name`` out, since the request's wins. One that says something else is kept as ``_raw``."""
    own = event.pop(name, None)
    if own is not None and own != "" and own != value:
        _keep(event, name + "_raw", own)


def drop(event: dict[str, Any], name: str) -> None:
    """Take out an ``app`` or ``source`` that is no text; one that says something is kept as ``_raw``."""
    own = event.pop(name)
    if own is not None and own != "":
        _keep(event, name + "_raw", own)
