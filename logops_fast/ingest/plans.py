"""Plans: what becomes of an event's members, by their names alone. For the kernel, and for `fast_layouts`.

A plan follows `settling`: it holds as long as the values are of the usual form, and an event of which one is not goes
the whole way. Layouts for which names do not say enough have no plan.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from logops_fast.ingest import names
from logops_fast.ingest.aliases import Aliases, Candidate
from logops_fast.ingest.levels import DEFAULT_LEVEL, LEVELS, MONOLOG, NO_NUMBERS, OTEL, PYTHON, SYSLOG, USUAL
from logops_fast.ingest.parsers.envelopes import may_be_envelope

SCALES: Final = (USUAL, SYSLOG, OTEL, MONOLOG, PYTHON, NO_NUMBERS)
"""The scales of numbers that are levels; a plan names one by its place."""

# The roles, as `kernel/src/python.rs` has them, too.
COPY: Final = 0
TIME: Final = 1
LEVEL: Final = 2
MESSAGE: Final = 3
TEXT: Final = 4
IMPLIED: Final = 5
LEADING: Final = 6
RECEIPT: Final = 7
FLAT: Final = 8

_MOST_NAMES: Final = 64
_LONGEST: Final = 2048
# Docker's json-file keeps the newline that ends a line, and so does loguru.
_LINES: Final = ("log", "text")
NO_APP: Final = 1
NO_SOURCE: Final = 2

Item = tuple[int, int, int, str]
"""Role, place of the member, what else the role needs, and the name that is written."""


class Plan(NamedTuple):
    """What is written of an event: members in order, which of the request's constants follow them.

    ``telltale``: whether a body may be an envelope if its first event has these keys.
    """

    items: list[Item]
    constants: int
    telltale: bool


def plan_of(keys: tuple[str, ...], aliases: Aliases) -> Plan | None:
    """Return the plan of events with these keys, in this order; None if the reference has to read them."""
    if not keys or len(keys) > _MOST_NAMES or sum(map(len, keys)) > _LONGEST:
        return None
    if "emitter" in keys or "scenario_id" in keys:
        return None  # overruled by the request's, and kept under another name if they differ
    event: dict[str, Item] = {key: (COPY, place, 0, key) for place, key in enumerate(keys)}
    places = {key: place for place, key in enumerate(keys)}
    flat: set[str] = set()
    found_msg: Candidate | None = None
    layout = aliases.layout(dict.fromkeys(keys))

    def move(key: str, to: str, role: int, more: int) -> None:
        if key != to:
            del event[key]
        event[to] = (role, places[key], more, to)

    # As the loop of the normaliser: the exact names first, moved in this order.
    ts = "ts" if "ts" in event else _first(event, names.TS_NAMES)
    if ts is not None:
        move(ts, "ts", TIME, 0)
    level = "level" if "level" in event else None
    if level is None:
        exact = ("severity", "loglevel") if "lvl" not in event else ("lvl",)
        level = _first(event, exact)
    if level is not None:
        move(level, "level", LEVEL, SCALES.index(_scale(event)))
    msg = "msg" if "msg" in event else "message" if "message" in event else None
    if msg is not None:
        move(msg, "msg", MESSAGE, 0)
    if ts is None or level is None or msg is None:
        # As its `_settle`: the level's other names first, then the time's, then the message's.
        if layout.has_origin:
            return None
        if msg is None:
            found_msg = _usable(layout.msg, event, flat)
            if found_msg is None:
                return None
            flat.add(found_msg.key)  # it must be text
        if level is None and layout.has_level:
            found = _usable(layout.level, event, flat)
            if found is not None:
                if found.rule not in SCALES:
                    return None
                move(found.key, "level", LEVEL, SCALES.index(found.rule))
                level = "level"
            elif not _all_flat(layout.level, event, flat):
                return None
            elif layout.is_clef:
                event["level"] = (IMPLIED, LEVELS.index(DEFAULT_LEVEL), 0, "level")
                level = "level"
        if ts is None:
            found = _usable(layout.ts, event, flat)
            if found is not None:
                if found.rule == names.SECONDS:
                    return None
                move(found.key, "ts", TIME, 0)
            elif _all_flat(layout.ts, event, flat):
                event["ts"] = (RECEIPT, 0, 0, "ts")
            else:
                return None
        if msg is None and found_msg is not None:
            if event.get(found_msg.key, (TIME,))[0] != COPY:
                return None
            msg = found_msg.key
            move(found_msg.key, "msg", MESSAGE, int(found_msg.key in _LINES))
        if level is None and msg is not None:
            event["level"] = (LEADING, places[msg], event["msg"][2], "level")
    constants = 0
    for name, absent in (("app", NO_APP), ("source", NO_SOURCE)):
        item = event.get(name)
        if item is None:
            constants |= absent
        elif item[0] == COPY:
            event[name] = (TEXT, item[1], 0, name)
        else:
            return None
    for name in flat:
        item = event.get(name)
        if item is not None and item[0] == COPY:
            event[name] = (FLAT, *item[1:])
    return Plan(list(event.values()), constants, may_be_envelope(keys))


def _first(event: dict[str, Item], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in event), None)


def _usable(candidates: tuple[Candidate, ...], event: dict[str, Item], flat: set[str]) -> Candidate | None:
    """Return the first candidate that is a member of its own which no other field has taken.

    Candidates below a member are passed over: that member joins ``flat``, the plan holds if it is not an object.
    """
    for candidate in candidates:
        if candidate.key not in event or event[candidate.key][0] != COPY:
            return None
        if not candidate.path:
            return candidate
        flat.add(candidate.key)
    return None


def _all_flat(candidates: tuple[Candidate, ...], event: dict[str, Item], flat: set[str]) -> bool:
    """Return whether all candidates are below members, which then must not be objects."""
    return all(candidate.path and candidate.key in event and candidate.key in flat for candidate in candidates)


def _scale(event: dict[str, Item]) -> str:
    """As `normaliser.numbers_of`."""
    if "level_name" in event:
        return MONOLOG
    return SYSLOG if "short_message" in event else USUAL
