"""``json``: an array of flat objects, as a server with structured logging writes them."""

from __future__ import annotations

from typing import Any, Final

import orjson

from logops_fast.emitters.base import Clockwork, Options, Payload
from logops_fast.emitters.disorder import disordered
from logops_fast.emitters.pools import Event, Pool, events

_WITH_TS: Final = b'{"ts":"%b.%06dZ","seq":%d,%b'
_WITHOUT_TS: Final = b'{"seq":%d,%b'


class JsonServer:
    """Objects with ts, seq (counting up from 1), level, msg, app, host, request_id, duration_ms.

    Partial ones lack ts, level or both; chaotic ones are those of ``noise``.
    """

    content_type = b"application/json"

    __slots__ = ("_clock", "_pool", "_seq")

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        items: list[tuple[bool, bytes]] = []
        levels: list[str | None] = []
        for event in events(rng, options.error_ratio):
            draw = rng.random()
            if draw < options.chaos:
                fields, level, stamped = disordered(rng, event)
            else:
                fields, level, stamped = _fields(event), event.level, True
                if rng.random() < options.partial_ratio:
                    lacking = rng.choice(("ts", "level", "both"))
                    stamped = lacking == "level"
                    if lacking != "ts":
                        del fields["level"]
                        level = None
            items.append((stamped, orjson.dumps(fields)[1:]))
            levels.append(level)
        self._pool = Pool(items, levels, rng)
        self._clock = Clockwork()
        self._seq = 0

    def batch(self, count: int, now: float) -> Payload:
        """Return an array of ``count`` objects."""
        text, micros = self._clock.of(now, count)
        seq = self._seq + 1
        self._seq += count
        run, levels = self._pool.run(count)
        parts = [
            _WITH_TS % (text, micros + i, seq + i, tail) if stamped else _WITHOUT_TS % (seq + i, tail)
            for i, (stamped, tail) in enumerate(run)
        ]
        return Payload(b"[" + b",".join(parts) + b"]", count, levels)


def _fields(event: Event) -> dict[str, Any]:
    return {
        "level": event.level,
        "msg": event.msg,
        "app": event.app,
        "host": event.host,
        "request_id": event.request_id,
        "duration_ms": event.duration_ms,
    }
