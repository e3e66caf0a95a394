"""``minimal``: lines of NDJSON with a message alone, so that the gateway has to supply all other fields."""

from __future__ import annotations

import orjson

from logops_fast.emitters.base import Options, Payload
from logops_fast.emitters.pools import Pool, events


class Minimal:
    """``{"msg": ...}`` a line; partial ones have no message either."""

    content_type = b"application/x-ndjson"

    __slots__ = ("_pool",)

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        lines = [
            b"{}" if rng.random() < options.partial_ratio else orjson.dumps({"msg": event.msg})
            for event in events(rng, options.error_ratio)
        ]
        self._pool = Pool(lines, [None] * len(lines), rng)

    def batch(self, count: int, now: float) -> Payload:  # noqa: ARG002 - the events carry no time
        """Return ``count`` lines."""
        lines, levels = self._pool.run(count)
        return Payload(b"\n".join(lines), count, levels)
