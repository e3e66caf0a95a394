"""Events as careless senders write them: other names, wrong types, nesting, missing fields."""

from __future__ import annotations

import random
from typing import Any, Final

from logops_fast.emitters.pools import Event, address, email

_TS_NAMES: Final = ("timestamp", "time", "@timestamp")
_LEVEL_NAMES: Final = ("lvl", "severity", "loglevel")
_MSG_NAMES: Final = ("message", "log", "text")
_SPELT: Final = {
    "TRACE": "trace", "DEBUG": "dbg", "INFO": "Information", "WARN": "warning", "ERROR": "err", "FATAL": "critical",
}  # fmt: skip
SECONDS: Final = "<seconds>"
MILLISECONDS: Final = "<milliseconds>"
WITHOUT_ZONE: Final = "<date and time>"
"""Where the current time is to be written: as a number without quotes, or as ``YYYY-MM-DD hh:mm:ss``. Loki refuses old
times, and the gateway reads these."""

# No timestamps, or such as are read only by their size.
_ODD_TIMES: Final = ("yesterday", "", None, True, SECONDS, MILLISECONDS, WITHOUT_ZONE, [2026, 1, 1])
_ODD_LEVELS: Final = ("LOUD", "", None, 42, True, {"name": "INFO"})


def disordered(rng: random.Random, event: Event) -> tuple[dict[str, Any], str | None, bool]:
    """Return the fields, the level that the gateway will read (None: none), and whether a valid ``ts`` is to be added.

    Time, level and message are each wrong in three of four events, independently.
    """
    fields: dict[str, Any] = {}
    stamped = rng.random() < 0.25
    if not stamped and rng.random() < 0.75:
        fields[rng.choice(_TS_NAMES)] = rng.choice(_ODD_TIMES)
    level: str | None = event.level
    way = rng.randrange(4)
    if way == 0:
        fields["level"] = level
    elif way == 1:
        fields[rng.choice(_LEVEL_NAMES)] = _SPELT[event.level]
    else:
        level = None
        if way == 2:
            fields["level"] = rng.choice(_ODD_LEVELS)
    way = rng.randrange(4)
    if way == 0:
        fields["msg"] = event.msg
    elif way == 1:
        fields[rng.choice(_MSG_NAMES)] = event.msg
    elif way == 2:
        fields["msg"] = rng.choice(([event.msg, 17], {"text": event.msg, "code": 17}, 4711, 1.5, False))
    if rng.random() < 0.5:
        fields["context"] = {
            "user": {"email": email(rng), "ids": [rng.randrange(10**6), None]},
            "peer": [address(rng), {"deep": {"deeper": [event.request_id]}}],
        }
    if rng.random() < 0.3:
        fields["app"] = rng.choice((event.app, 7, None, ["a"]))
    if rng.random() < 0.2:
        fields["emitter"] = "another-emitter"
    if not fields:
        fields["unexpected"] = "\u2028 line separator, \u0000 nothing, \ufeff mark"
    return fields, level, stamped
