"""Emitters: they make the body of a batch, the same one for the same seed and time.

One of your own is a Python file with a function ``make(options) -> Emitter``, named by ``script:`` in a scenario:

    from logops_fast.emitters.base import Options, Payload

    class Heartbeat:
        content_type = b"application/json"

        def batch(self, count: int, now: float) -> Payload:
            return Payload(b"[" + b",".join([b'{"msg":"alive"}'] * count) + b"]", count, {"INFO": count})

    def make(options: Options) -> Heartbeat:
        return Heartbeat()
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class Payload(NamedTuple):
    """The body of one batch, the number of its events, and how many of them have which level (some have none)."""

    body: bytes
    events: int
    levels: dict[str, int]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an emitter. The ratios are shares of its events, from 0 to 1.

    ``partial_ratio``: with fields missing. ``chaos``: in disorder (aliases, wrong types, nesting). ``error_ratio``:
    of level ERROR or FATAL; None leaves the usual mix. ``extra``: all other members of ``args``, for a script.
    """

    seed: int | str = 0
    partial_ratio: float = 0.0
    chaos: float = 0.0
    error_ratio: float | None = None
    form: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def rng(self) -> random.Random:
        """Return a generator for the seed. Seeded with text, it is the same on every Python and platform."""
        return random.Random(str(self.seed))


class Emitter(Protocol):
    """Makes batches of the format ``content_type``. Its work per event limits the rate of the generator."""

    content_type: bytes

    def batch(self, count: int, now: float) -> Payload:
        """Return the next ``count`` events (at least 1), as of ``now`` (seconds since 1970)."""


class Clockwork:
    """Timestamps of a batch: its second as text, made once a second, and the microsecond of its first event.

    Events of a batch are one microsecond apart; those of a batch that would pass the end of its second start earlier.
    """

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def of(self, now: float, count: int) -> tuple[bytes, int]:
        """Return ``YYYY-MM-DDTHH:MM:SS`` and the first microsecond."""
        micros = round(now * 1e6)
        second, first = divmod(micros, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return self._text, min(first, max(0, 1_000_000 - count))
