"""Bodies of JSON in bulk: events that all differ, at about a microsecond each.

An event is a layout with holes, made from an event of a corpus or of the case files; a part of a body is one layout
many times over, with slices of the pools in its holes: one call formats hundreds of events.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from logops_fast.ingest import names
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode
from tests.fuzz.native_maker import Maker
from tests.fuzz.native_pools import Pool, Pools
from tests.fuzz.native_values import NAMES, WRITABLE

# No event holds it: control characters are escaped in JSON.
_BETWEEN: Final = b"\0"
_LAYOUTS: Final = 400
_AT_A_TIME: Final = 60
_WHOLE: Final = 3000
_SIZES: Final = (1, 2, 5, 20, 60, 100, 100, 200, 300, 400, 400, 600, 800, 1000)
EVERY: Final = (1, 6, 6, 12, 12, 50)
"""Of a body, in how many pieces one is odd. One odd piece in a text tries one rule; many try which goes first, and what
is taken for one event among a hundred is another way than what is taken for all."""
_LONG: Final = 24

_TIMES: Final = frozenset(("ts", *names.TS_NAMES, *(alias.name for alias in names.TS)))
_LEVELS: Final = frozenset(("level", *names.LEVEL_NAMES, *(alias.name for alias in names.LEVEL)))
_MESSAGES: Final = frozenset(("msg", *names.MSG_NAMES, *(alias.name for alias in names.MSG)))


class Layout(NamedTuple):
    """An event with holes: a format that ends in _BETWEEN, and the pools that fill its holes in turn."""

    text: bytes
    pools: tuple[Pool, ...]

    def fill(self, count: int, every: int = 1) -> list[bytes]:
        """Return ``count`` events; ``every``: see Pool."""
        holes = len(self.pools)
        if not holes:
            return [self.text[:-1].replace(b"%%", b"%")] * count
        pieces = [b""] * (holes * count)
        for place, pool in enumerate(self.pools):
            pieces[place::holes] = pool.take(count, every)
        return (self.text * count % tuple(pieces)).split(_BETWEEN)[:-1]


class Body(NamedTuple):
    """A body of JSON, whether it is NDJSON, and its events."""

    data: bytes
    by_line: bool
    events: list[bytes]


class BulkMaker:
    """Makes bodies of up to a thousand events; the same ones for the same seed."""

    def __init__(self, maker: Maker, pools: Pools) -> None:
        self.maker = maker
        self._rng = maker.rng
        self.pools = pools
        self._all = [one for one in (self._layout() for _ in range(_LAYOUTS)) if all(map(_is_event, one.fill(3)))]
        self._layouts = self._all
        maker.values = WRITABLE
        self._whole = Pool(
            self._rng,
            [one for one in (maker.event().encode("utf-8", "surrogatepass") for _ in range(_WHOLE)) if _is_event(one)],
        )

    def begin(self) -> None:
        """Take some of the layouts for the bodies to come: those of which each comes often enough to be learnt."""
        self._layouts = self._rng.sample(self._all, k=_AT_A_TIME)

    def body(self) -> Body:
        """Return a body."""
        rng = self._rng
        events = self.events(rng.choice(_SIZES))
        if rng.random() < 0.35:
            return Body(rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b" \n")).join(events), True, events)
        comma = rng.choice((b",", b",", b",", b", ", b",\n", b"\n,"))
        return Body(b"[" + comma.join(events) + b"]", False, events)

    def events(self, count: int) -> list[bytes]:
        """Return ``count`` events of a few layouts: one after the other, in turns, or in any order."""
        rng = self._rng
        layouts = rng.sample(self._layouts, k=min(count, rng.choice((1, 1, 2, 3, 4, 8, 16))))
        share = -(-count // len(layouts))
        every = rng.choice(EVERY)
        parts = [layout.fill(share, every) for layout in layouts]
        if rng.random() < 0.2:
            parts.insert(rng.randrange(len(parts) + 1), self._whole.take(rng.randrange(1, 2 + share // 4)))
        order = rng.randrange(3)
        if order == 0:
            events = [event for part in parts for event in part]
        elif order == 1:
            parts = [part for part in parts if len(part) == share]
            events = [event for some in zip(*parts, strict=True) for event in some]
        else:
            events = [event for part in parts for event in part]
            rng.shuffle(events)
        return events[:count]

    def _layout(self) -> Layout:
        """Return a layout of an event of the corpora, or of any names."""
        rng, maker = self._rng, self.maker
        draw = rng.random()
        if draw < 0.06:
            members = [(rng.choice(NAMES), rng.choice(WRITABLE)) for _ in range(rng.randrange(1, 8))]
        else:
            members = list(rng.choice(maker.usual if draw < 0.8 else maker.odd))
        for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2))):
            draw = rng.random()
            at = rng.randrange(len(members) + 1)
            if draw < 0.4 or at == len(members):
                members.insert(at, (rng.choice(NAMES), rng.choice(WRITABLE)))
            elif draw < 0.7:
                members[at] = (rng.choice(NAMES), members[at][1])
            else:
                del members[at]
        if rng.random() < 0.1:
            rng.shuffle(members)
        # As json.dumps, others' writers and people write them.
        colon, comma = rng.choice(((":", ","), (":", ","), (":", ","), (": ", ", "), (" : ", " ,\t")))
        pools: list[Pool] = []
        written = [
            json.dumps(name, ensure_ascii=False).replace("%", "%%") + colon + self._hole(name, value, pools)
            for name, value in members
        ]
        text = f"{{{comma.join(written)}}}".encode("utf-8", "replace")  # a name may hold half a pair of surrogates
        return Layout(text + _BETWEEN, tuple(pools))

    def _hole(self, name: str, value: str, found: list[Pool]) -> str:
        """Return what is written as a member's value; adds the pools that fill it."""
        pools = self.pools
        draw = self._rng.random()
        name = name.lower()
        if draw < 0.03:
            found.append(pools.values)
            return "%b"
        if draw < 0.2 and name not in _MESSAGES:
            return value.replace("%", "%%")
        if name in _TIMES or name in _LEVELS:
            found.append(pools.times if name in _TIMES else pools.levels)
            return "%b"
        if value[:1] == '"':
            if self._rng.random() < 0.3:
                marks = self._rng.randrange(1, 12)
                found += [pools.marks] * marks
                return '"' + "%b" * marks + '"'
            if name in _MESSAGES or len(value) > _LONG:
                found += (pools.heads, pools.parts, pools.tails)
                return '"%b%b%b"'
            found.append(pools.words)
            return '"%b"'
        if value[:1] in "{[":
            if draw < 0.6:
                return value.replace("%", "%%")
            found.append(pools.values)
        else:
            found.append(pools.numbers)
        return "%b"


def _is_event(text: bytes) -> bool:
    try:
        event = decode(text)
        check_writable([event])
    except UNREADABLE:
        return False
    return isinstance(event, dict) and _BETWEEN not in text
