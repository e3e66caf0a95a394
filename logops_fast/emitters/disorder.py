"""Events as careless senders write them: other names, wrong types, nesting, fields that are not there."""

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
# What a reader cannot take for a timestamp, or only by its size.
_ODD_TIMES: Final = ("yesterday", "", None, True, 1_767_225_600, 1_767_225_600_123, "2026-01-01 00:00:00", [2026, 1, 1])
_ODD_LEVELS: Final = ("LOUD", "", None, 42, True, {"name": "INFO"})


def disordered(rng: random.Random, event: Event) -> tuple[dict[str, Any], str | None, bool]:
    """The fields, the level a reader will find in them (None: none), and whether a right ``ts`` is to be added.

    Three in four have something wrong with each of time, level and message, each on its own.
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
        fields["emitter"] = "somebody-else"
    if not fields:
        fields["unexpected"] = "\u2028 line separator, \u0000 nothing, \ufeff mark"
    return fields, level, stamped
