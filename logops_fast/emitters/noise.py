"""``noise``: disorder in well-formed JSON, of which the gateway must not lose anything."""

from __future__ import annotations

from typing import Any, Final

import orjson

from logops_fast.emitters.base import Clockwork, Options, Payload
from logops_fast.emitters.disorder import MILLISECONDS, SECONDS, WITHOUT_ZONE, disordered
from logops_fast.emitters.pools import Pool, events

_NO_EVENT_SHARE: Final = 0.02  # of the chaotic elements
_NO_EVENTS: Final[tuple[Any, ...]] = ("only text", 42, None, True, ["a", "list"], 1.5e300)

_STAMPED: Final = b'{"ts":"%b.%06dZ",%b'
# With a ts of its own in front; as it is; with the current time in the middle, in one of three forms.
_KIND_STAMPED, _KIND_BARE, _KIND_SECONDS, _KIND_MILLISECONDS, _KIND_WITHOUT_ZONE = range(5)
_PLACES: Final = (
    (_KIND_SECONDS, orjson.dumps(SECONDS)),
    (_KIND_MILLISECONDS, orjson.dumps(MILLISECONDS)),
    (_KIND_WITHOUT_ZONE, orjson.dumps(WITHOUT_ZONE)),
)

_Item = tuple[int, bytes, bytes]
"""A kind, and what is written before and after the time."""


class Noise:
    """``chaos`` is the share of events in disorder; one in fifty of those is no event at all and will be rejected."""

    content_type = b"application/json"

    __slots__ = ("_clock", "_pool")

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        items: list[_Item] = []
        levels: list[str | None] = []
        for event in events(rng, options.error_ratio):
            fields: Any = {"level": event.level, "msg": event.msg, "app": event.app}
            level: str | None = event.level
            stamped = True
            if rng.random() < options.chaos:
                if rng.random() < _NO_EVENT_SHARE:
                    fields, level, stamped = rng.choice(_NO_EVENTS), None, False
                else:
                    fields, level, stamped = disordered(rng, event)
            elif rng.random() < options.partial_ratio:
                stamped = False
            items.append(_item(orjson.dumps(fields), stamped=stamped))
            levels.append(level)
        self._pool = Pool(items, levels, rng)
        self._clock = Clockwork()

    def batch(self, count: int, now: float) -> Payload:
        """Return an array of ``count`` elements, most of them objects."""
        text, micros = self._clock.of(now, count)
        odd = {
            _KIND_SECONDS: b"%d" % int(now),
            _KIND_MILLISECONDS: b"%d" % int(now * 1000),
            _KIND_WITHOUT_ZONE: b'"%b"' % text.replace(b"T", b" "),
        }
        run, levels = self._pool.run(count)
        parts = [
            before + odd[kind] + after
            if kind > _KIND_BARE
            else before
            if kind == _KIND_BARE
            else _STAMPED % (text, micros + i, after)
            for i, (kind, before, after) in enumerate(run)
        ]
        return Payload(b"[" + b",".join(parts) + b"]", count, levels)


def _item(written: bytes, *, stamped: bool) -> _Item:
    if stamped:
        return _KIND_STAMPED, b"", written[1:]
    for kind, place in _PLACES:
        before, found, after = written.partition(place)
        if found:
            return kind, before, after
    return _KIND_BARE, written, b""
