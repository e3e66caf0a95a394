"""``noise``: disorder in well-formed JSON, of which the gateway must not lose anything."""

from __future__ import annotations

from typing import Any, Final

import orjson

from logops_fast.emitters.base import Clockwork, Options, Payload
from logops_fast.emitters.disorder import disordered
from logops_fast.emitters.pools import Pool, events

_NO_EVENT_SHARE: Final = 0.02  # of the chaotic elements
_NO_EVENTS: Final[tuple[Any, ...]] = ("only text", 42, None, True, ["a", "list"], 1.5e300)

# With a ts of its own; with none; no object at all.
_STAMPED: Final = b'{"ts":"%b.%06dZ",%b'
_KIND_STAMPED, _KIND_BARE = range(2)


class Noise:
    """``chaos`` is the share of events in disorder; one in fifty of those is no event at all and will be rejected."""

    content_type = b"application/json"

    __slots__ = ("_clock", "_pool")

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        items: list[tuple[int, bytes]] = []
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
            written = orjson.dumps(fields)
            items.append((_KIND_STAMPED, written[1:]) if stamped else (_KIND_BARE, written))
            levels.append(level)
        self._pool = Pool(items, levels, rng)
        self._clock = Clockwork()

    def batch(self, count: int, now: float) -> Payload:
        """Return an array of ``count`` elements, most of them objects."""
        text, micros = self._clock.of(now, count)
        run, levels = self._pool.run(count)
        parts = [written if kind else _STAMPED % (text, micros + i, written) for i, (kind, written) in enumerate(run)]
        return Payload(b"[" + b",".join(parts) + b"]", count, levels)
