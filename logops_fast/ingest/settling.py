"""Settling the fields of one event: ``ts``, ``level``, ``msg`` and a few others, whatever their names and forms.

The normaliser settles most events without this, by the exact names or by `fast_layouts`. Everything here changes the
event in place. A value that was meant for a field and does not read, or that the request overrules, is kept as
``<name>_raw``.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, Final

from logops_fast.ingest import aliases
from logops_fast.ingest.aliases import Aliases, Layout
from logops_fast.ingest.levels import (
    BY_NAME,
    DEFAULT_LEVEL,
    MONOLOG,
    SYSLOG,
    USUAL,
    leading_level,
    level_of,
    may_name_level,
)
from logops_fast.ingest.names import LEVEL_NAMES, TS_NAMES
from logops_fast.ingest.parsers.base import Inherited
from logops_fast.ingest.parsers.level_word import find_level
from logops_fast.ingest.serialiser import to_text
from logops_fast.ingest.settled_times import is_settled
from logops_fast.ingest.tally import Tally
from logops_fast.ingest.timestamps import LEAST_NUMBER, canonical

# What the exact names leave to do with an event.
_TS: Final = 1
_LEVEL: Final = 2
_MSG: Final = 4
# The exact name whose value was moved to `ts` or `level`.
_FROM_TIMESTAMP: Final = 8
_FROM_TIME: Final = 16
_FROM_AT_TIMESTAMP: Final = 24
_TS_MOVED: Final = 24
_FROM_SEVERITY: Final = 32
_FROM_LVL: Final = 64
_FROM_LOGLEVEL: Final = 96
_LEVEL_MOVED: Final = 96
_MOVED_FROM: Final = {
    _FROM_TIMESTAMP: "timestamp", _FROM_TIME: "time", _FROM_AT_TIMESTAMP: "@timestamp",
    _FROM_SEVERITY: "severity", _FROM_LVL: "lvl", _FROM_LOGLEVEL: "loglevel",
}  # fmt: skip


def settle(event: dict[str, Any], table: Aliases, zone: tzinfo, tally: Tally) -> None:
    """Settle ``ts``, ``level`` and ``msg``, the exact names first, and ``app``, ``host`` and ``pid`` where one of those
    was searched for; count what is missing, and the level.

    ``zone``: of times that carry none.
    """
    todo = 0
    ts = event.get("ts")
    if ts is None:
        if "timestamp" in event:
            event["ts"] = ts = event.pop("timestamp")
            todo = _FROM_TIMESTAMP
        elif "time" in event:
            event["ts"] = ts = event.pop("time")
            todo = _FROM_TIME
        elif "@timestamp" in event:
            event["ts"] = ts = event.pop("@timestamp")
            todo = _FROM_AT_TIMESTAMP
    if type(ts) is not str or not is_settled(ts):
        todo |= _TS

    level = event.get("level")
    if level is None:
        if "severity" in event and "lvl" not in event:
            event["level"] = level = event.pop("severity")
            todo |= _FROM_SEVERITY
        elif "lvl" in event:
            event["level"] = level = event.pop("lvl")
            todo |= _FROM_LVL
        elif "loglevel" in event:
            event["level"] = level = event.pop("loglevel")
            todo |= _FROM_LOGLEVEL
    if type(level) is str and level in BY_NAME:
        event["level"] = known = BY_NAME[level]
        tally.levels[known] = tally.levels.get(known, 0) + 1
    else:
        todo |= _LEVEL

    msg = event.get("msg")
    if msg is None and "message" in event:
        event["msg"] = msg = event.pop("message")
    if type(msg) is not str or not msg:
        todo |= _MSG
    if todo & (_TS | _LEVEL | _MSG):
        _search(event, todo, table, zone, tally)


def _search(event: dict[str, Any], todo: int, table: Aliases, zone: tzinfo, tally: Tally) -> None:
    """Settle what the exact names could not: ``todo`` says what, and which of them was moved."""
    layout: Layout | None = None
    own_ts = own_level = ts = level = msg = None
    if todo & _TS:
        own_ts = event.get("ts")
        if type(own_ts) is Inherited:
            event["ts"] = ts = canonical(own_ts.value, zone) or tally.receipt()
            tally.missing_ts += 1
        elif own_ts is not None:
            ts = canonical(own_ts, zone)
            if ts is not None:
                event["ts"] = ts
            elif todo & _TS_MOVED:
                event[_MOVED_FROM[todo & _TS_MOVED]] = event.pop("ts")
    if todo & _LEVEL:  # before a time is moved: MongoDB's `s` is a level beside its `t` alone
        own_level = event.get("level")
        if type(own_level) is Inherited:
            level = level_of(own_level.value) or DEFAULT_LEVEL
            tally.missing_level += 1
        elif own_level is not None:
            level = level_of(own_level, numbers_of(event))
            if level is None and todo & _LEVEL_MOVED:
                event[_MOVED_FROM[todo & _LEVEL_MOVED]] = event.pop("level")
        if level is None:
            layout = table.layout(event)
            if own_level is not None or layout.has_level:
                level = settle_level(event, layout)
    if todo & _TS and ts is None:
        if layout is None:
            layout = table.layout(event)
        if own_ts is not None or layout.ts:
            ts = settle_ts(event, layout, zone)
        if ts is None:
            tally.missing_ts += 1
            event["ts"] = tally.receipt()
    if todo & _MSG:
        own = event.get("msg")
        if own is not None and own != "":
            event["msg"] = to_text(own)
        else:
            if layout is None:
                layout = table.layout(event)
            msg = settle_msg(event, layout)
    elif todo & _LEVEL:
        msg = event["msg"]
    if todo & _LEVEL:
        if level is None and msg:
            level = level_in(msg)
        if not level:
            tally.missing_level += 1
            level = DEFAULT_LEVEL
        event["level"] = level
        tally.levels[level] = tally.levels.get(level, 0) + 1
    if layout is not None and layout.has_origin:
        settle_origin(event, layout)


def level_in(msg: str) -> str | None:
    """Return the level that a message names; None or empty if it names none."""
    level = leading_level(msg)
    if level is None and may_name_level(msg):
        level = find_level(msg)
    return level


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
