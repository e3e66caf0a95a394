"""Settles events of known layouts without a search: by what was found out about their names, one look-up for all.

A layout is the names of an event's members, in order. What becomes of its members follows from them (`plans`), as long
as the values are of the usual form: a time that reads, a level, a text. An event for which that does not hold is left
as it was, for `settling`, and both make the same of it.
"""

from __future__ import annotations

from datetime import tzinfo
from itertools import permutations
from typing import Any, Final

from logops_fast.ingest import plans
from logops_fast.ingest.aliases import Aliases
from logops_fast.ingest.levels import BY_NAME, DEFAULT_LEVEL, level_of
from logops_fast.ingest.parsers.base import Inherited
from logops_fast.ingest.settled_times import is_settled
from logops_fast.ingest.settling import level_in
from logops_fast.ingest.tally import Tally
from logops_fast.ingest.timestamps import canonical

UNSETTLED: Final = -1
"""Returned by ``FastLayout.settle`` if the event was left as it was."""

_MOST_LAYOUTS: Final = 512
_MOST_NAMES: Final = 64
_LONGEST_LAYOUT: Final = 2048  # characters of all names together
_MOST_SPELLINGS: Final = 512  # of levels, by scale
_LONGEST_SPELLING: Final = 16

# To learn a layout costs as much as ten events do that are searched: a sender of ever new names must not pay for it
# with each event, so the events that were settled earn the lessons.
_SAVED: Final = 64.0
_EARNED_BY_EVENT: Final = 1 / 32
_EARNED_BY_BATCH: Final = 1 / 8
_COST_OF_NAME: Final = 1 / 8

# The orders in which the fields may have to be written: new members go to the end, and those that are there stay.
_ORDERS: Final = tuple(permutations(("ts", "level", "msg")))
_LEVEL_SECOND: Final = 0
_LEVEL_LAST: Final = 1


class FastLayout:
    """What becomes of the members of events with one set of names."""

    __slots__ = (
        "_checks",
        "_cuts",
        "_flat",
        "_implied",
        "_level",
        "_moved",
        "_msg",
        "_order",
        "_scale",
        "_spellings",
        "_texts",
        "_ts",
        "_variant",
        "usable",
    )

    def __init__(self, keys: tuple[str, ...], plan: plans.Plan | None, spellings: dict[str, dict[Any, str]]) -> None:
        """``plan``: None if names do not say enough; ``spellings``: levels by scale and by how they are written."""
        self.usable = plan is not None
        self._ts = self._level = self._msg = ""
        self._cuts = self._implied = False
        self._scale = ""
        self._variant = 0
        self._spellings: dict[Any, str] = {}
        flat: list[str] = []
        texts: list[str] = []
        moved: list[str] = []
        written: list[str] = []
        if plan is not None:
            self._variant = plan.constants
            for role, place, more, name in plan.items:
                if role == plans.FLAT:
                    flat.append(name)
                elif role == plans.TEXT:
                    texts.append(name)
                elif role != plans.COPY:
                    key = self._take(keys, role, place, more)
                    if key != name:
                        written.append(name)
                        if key:
                            moved.append(key)
            if self._scale:
                self._spellings = spellings.setdefault(self._scale, dict(BY_NAME))
        self._flat = tuple(flat)
        self._texts = tuple(texts)
        self._checks = bool(flat or texts)
        self._moved = tuple(moved)
        self._order = next(
            at for at, order in enumerate(_ORDERS) if [name for name in order if name in written] == written
        )

    def _take(self, keys: tuple[str, ...], role: int, place: int, more: int) -> str:
        """Note where ``ts``, ``level`` or ``msg`` comes from, and return the member; empty if it is none."""
        if role == plans.TIME:
            self._ts = keys[place]
            return self._ts
        if role == plans.LEVEL:
            self._level = keys[place]
            self._scale = plans.SCALES[more]
            return self._level
        if role == plans.MESSAGE:
            self._msg = keys[place]
            self._cuts = bool(more)
            return self._msg
        self._implied = role == plans.IMPLIED or self._implied
        return ""

    def settle(self, event: dict[str, Any], zone: tzinfo, tally: Tally) -> int:
        """Settle an event with these names, and return which placeholder it gets (see `normaliser`).

        UNSETTLED if a value is not of the usual form: then nothing was changed or counted.
        """
        if not self.usable:
            return UNSETTLED
        msg = event[self._msg]
        if type(msg) is not str or not msg:
            return UNSETTLED
        if self._checks:
            for name in self._texts:
                text = event[name]
                if type(text) is not str or not text:
                    return UNSETTLED
            for name in self._flat:
                if isinstance(event[name], dict):
                    return UNSETTLED
        if self._ts:
            ts = event[self._ts]
            if type(ts) is str:
                if not is_settled(ts):
                    ts = canonical(ts, zone)
            elif type(ts) is int or type(ts) is float:
                ts = canonical(ts, zone)
            else:
                return UNSETTLED
            if ts is None:
                return UNSETTLED
        if self._cuts and msg[-1] == "\n":
            msg = msg[:-2] if msg[-2:] == "\r\n" else msg[:-1]
        level: str | None = None
        if self._level:
            value = event[self._level]
            if type(value) is str or type(value) is int:
                level = self._spellings.get(value)
                if level is None:
                    level = self._read(value)
                    if level is None:
                        return UNSETTLED
            elif type(value) is Inherited and self._level == "level":  # the parsers write no other name
                level = level_of(value.value) or DEFAULT_LEVEL
                tally.missing_level += 1
            else:
                return UNSETTLED
        elif self._implied:
            level = DEFAULT_LEVEL
        else:
            if msg:
                level = level_in(msg)
            if not level:
                tally.missing_level += 1
                level = DEFAULT_LEVEL
        if not self._ts:
            ts = tally.receipt()
            tally.missing_ts += 1
        for name in self._moved:
            del event[name]
        if self._order == _LEVEL_SECOND:
            event["ts"] = ts
            event["level"] = level
            event["msg"] = msg
        elif self._order == _LEVEL_LAST:
            event["ts"] = ts
            event["msg"] = msg
            event["level"] = level
        else:
            settled = {"ts": ts, "level": level, "msg": msg}
            for name in _ORDERS[self._order]:
                event[name] = settled[name]
        tally.levels[level] = tally.levels.get(level, 0) + 1
        return self._variant

    def _read(self, value: Any) -> str | None:
        """Return the level that is written so, and remember it."""
        level = level_of(value, self._scale)
        if level is not None and len(self._spellings) < _MOST_SPELLINGS and len(str(value)) <= _LONGEST_SPELLING:
            self._spellings[value] = level
        return level


class FastLayouts:
    """The layouts seen so far. Remembers names and spellings of levels, and no event."""

    __slots__ = ("_aliases", "_none", "_purse", "_spellings", "known")

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases
        self._spellings: dict[str, dict[Any, str]] = {}
        self._none = FastLayout((), None, self._spellings)
        self._purse = _SAVED
        self.known: dict[tuple[str, ...], FastLayout] = {}

    def earn(self, events: int) -> None:
        """Count a batch, and the events of it that were settled by their layouts."""
        purse = self._purse + _EARNED_BY_BATCH + events * _EARNED_BY_EVENT
        self._purse = purse if purse < _SAVED else _SAVED

    def learn(self, keys: tuple[str, ...]) -> FastLayout:
        """Return the layout of events with these names, which is not known yet; one that settles none if it must."""
        if self._purse < 1.0 or len(keys) > _MOST_NAMES or sum(map(len, keys)) > _LONGEST_LAYOUT:
            return self._none
        self._purse -= max(1.0, len(keys) * _COST_OF_NAME)
        plan = plans.plan_of(keys, self._aliases)
        layout = self._none if plan is None else FastLayout(keys, plan, self._spellings)
        if len(self.known) >= _MOST_LAYOUTS:
            self.known.clear()
        self.known[keys] = layout
        return layout
