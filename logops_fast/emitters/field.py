"""``field``: what applications write with the usual JSON loggers and collectors, twelve layouts in equal parts."""

from __future__ import annotations

import random
from typing import Any, Final

import orjson

from logops_fast.emitters import layouts
from logops_fast.emitters.base import Clockwork, Options, Payload
from logops_fast.emitters.disorder import disordered
from logops_fast.emitters.layouts import EPOCH_LAYOUTS, LAYOUTS, Draft
from logops_fast.emitters.pools import Event, Pool, address, email, events

_EPOCH_SHARE: Final = 0.3  # of the events in a layout that can write numbers
_EMAIL_SHARE: Final = 0.25
_ADDRESS_SHARE: Final = 0.25
_NESTED_SHARE: Final = 0.1
_GAP: Final = b'"\\u0001'  # how orjson writes the string that holds the place of a time
_WITHOUT: Final = ""


class Field:
    """Objects in the layouts of ``layouts.LAYOUTS``, by turns.

    Partial ones lack their time or their level; chaotic ones are those of ``noise``.
    """

    content_type = b"application/json"

    __slots__ = ("_clock", "_pool")

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        items: list[tuple[bytes, str, bytes]] = []  # before the time, its form, after it
        levels: list[str | None] = []
        for number, event in enumerate(events(rng, options.error_ratio)):
            level: str | None = event.level
            if rng.random() < options.chaos:
                fields, level, stamped = disordered(rng, event)
                if stamped:
                    fields["ts"] = "\x01" + layouts.ISO_US
            else:
                layout = LAYOUTS[number % len(LAYOUTS)]
                is_epoch = layout in EPOCH_LAYOUTS and rng.random() < _EPOCH_SHARE
                fields = layout(Draft(rng, event, _extra(rng, event), is_epoch, "\x01".__add__))
                if rng.random() < options.partial_ratio:
                    lacking_level = rng.random() < 0.5
                    for name in layouts.LEVEL_NAMES if lacking_level else layouts.TS_NAMES:
                        fields.pop(name, None)
                    if lacking_level and "log" not in fields:  # Docker and Fluent Bit have it in the text
                        level = None
            before, gap, rest = orjson.dumps(fields).partition(_GAP)
            form, _, after = rest.partition(b'"')
            items.append((before, form.decode() if gap else _WITHOUT, after))
            levels.append(level)
        self._pool = Pool(items, levels, rng)
        self._clock = Clockwork()

    def batch(self, count: int, now: float) -> Payload:
        """Return an array of ``count`` objects."""
        text, micros = self._clock.of(now, count)
        run, levels = self._pool.run(count)
        second = round(now * 1e6) // 1_000_000
        blank = text.replace(b"T", b" ")
        parts = []
        for i, (before, form, after) in enumerate(run):
            if form == _WITHOUT:
                parts.append(before)
                continue
            micro = micros + i
            if form == layouts.ISO_MS:
                time = b'"%b.%03dZ"' % (text, micro // 1000)
            elif form == layouts.ISO_US:
                time = b'"%b.%06dZ"' % (text, micro)
            elif form == layouts.OFFSET:
                time = b'"%b.%06d+00:00"' % (text, micro)
            elif form == layouts.COMMA:
                time = b'"%b,%03d"' % (blank, micro // 1000)
            elif form == layouts.EPOCH_MS:
                time = b"%d%03d" % (second, micro // 1000)
            elif form == layouts.EPOCH_S:
                time = b"%d.%06d" % (second, micro)
            else:
                time = b'"%d%06d000"' % (second, micro)
            parts.append(b"%b%b%b" % (before, time, after))
        return Payload(b"[" + b",".join(parts) + b"]", count, levels)


def _extra(rng: random.Random, event: Event) -> dict[str, Any]:
    """Fields of the application's own."""
    extra: dict[str, Any] = {}
    if rng.random() < _EMAIL_SHARE:
        extra["user_email"] = email(rng)
    if rng.random() < _ADDRESS_SHARE:
        extra["client_ip"] = address(rng)
    if rng.random() < _NESTED_SHARE:
        extra["http"] = {"method": "GET", "status": 200, "duration_ms": event.duration_ms}
    return extra
