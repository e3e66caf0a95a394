"""The corpus ``field``: JSON events of 150 to 400 bytes in twelve layouts of loggers and collectors, in equal parts.

44% have an e-mail address and 44% an IPv4 address, in the message or in a field of its own; 10% of the times are
numbers; levels come in all spellings of each layout; 10% have a nested object, 3% lack their time or their level, 1%
each have a card number, a token, an IPv6 address, an escape. Frozen: a test has its hash, and results of different days
are results on the same bytes.
"""

from __future__ import annotations

import random
from typing import Any, Final

import orjson

from logops_fast.emitters import layouts
from logops_fast.emitters.layouts import EPOCH_LAYOUTS, LAYOUTS, Draft
from logops_fast.emitters.pools import Event

_SMALLEST: Final = 150  # bytes
_LARGEST: Final = 400
_LEVELS: Final = ("INFO",) * 60 + ("DEBUG",) * 16 + ("WARN",) * 13 + ("ERROR",) * 8 + ("TRACE",) * 2 + ("FATAL",)
_EPOCH_SHARE: Final = 0.3  # of four layouts in twelve
_SERVICES: Final = ("checkout", "catalog", "payments", "identity", "search", "shipping")
_HOSTS: Final = ("web-01", "web-02", "api-01", "db-01", "edge-eu-1")
_NAMES: Final = ("ana", "bob.smith", "chloe", "d.vader", "erin+news", "frank_l", "grace", "heidi")
_DOMAINS: Final = ("example.com", "mail.example.org", "corp.example.net")
_TEXTS: Final = (
    "request completed in {ms} ms with status {status}",
    "{verb} {path} returned {status} after {ms} ms",
    "cache miss on key session-{hex}, fell back to the database",
    "retrying call to the inventory service, attempt 2 of 5",
    "order {hex} moved to state PAID, 3 items, warehouse 7",
    "job {hex} finished, {ms} rows written",
    "could not reach the upstream: connection refused",
)
_VERBS: Final = ("GET", "POST", "PUT", "DELETE")
_PATHS: Final = ("/api/v1/orders", "/api/v1/cart/items", "/health", "/login", "/api/v2/products/search")
_CARDS: Final = ("4111 1111 1111 1111", "5555555555554444", "3782-822463-10005")
_TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVkLWJ5LW5vYm9keQ"
_ESCAPES: Final = ('\n    at handler "main"', "\ttab", ' said "no"', " C:\\Users\\x")
_FIRST: Final = 1_764_064_800  # 2025-11-25T10:00:00Z


def field_event(rng: random.Random, number: int) -> dict[str, Any]:
    """Return the next event; ``number`` chooses its layout and its time."""
    layout = LAYOUTS[number % len(LAYOUTS)]
    extra: dict[str, Any] = {}
    event = Event(
        rng.choice(_LEVELS),
        _message(rng, extra),
        rng.choice(_SERVICES),
        rng.choice(_HOSTS),
        rng.randrange(300, 32_768),
        f"{rng.getrandbits(64):016x}",
        rng.randrange(1, 900),
    )
    if rng.random() < 0.10:
        extra["http"] = {"method": rng.choice(_VERBS), "status": 200}
    micros = rng.randrange(1_000_000)

    def when(form: str) -> Any:
        return _time(_FIRST + number, micros, form)

    fields = layout(Draft(rng, event, extra, layout in EPOCH_LAYOUTS and rng.random() < _EPOCH_SHARE, when))
    draw = rng.random()
    if draw < 0.03:
        has_level = not set(layouts.LEVEL_NAMES).isdisjoint(fields)
        for name in layouts.LEVEL_NAMES if has_level and draw < 0.018 else layouts.TS_NAMES:
            fields.pop(name, None)
    size = len(orjson.dumps(fields))
    if size < _SMALLEST:
        digits = max(8, _SMALLEST - size - len(',"build":""'))
        fields["build"] = f"{rng.getrandbits(4 * digits):0{digits}x}"
    if size > _LARGEST:
        fields.pop("http", None)
        fields.pop("attrs", None)
    return fields


def _message(rng: random.Random, extra: dict[str, Any]) -> str:
    text = rng.choice(_TEXTS).format(
        ms=rng.randrange(1, 900),
        status=rng.choice((200, 200, 200, 201, 404, 500)),
        path=rng.choice(_PATHS),
        verb=rng.choice(_VERBS),
        hex=f"{rng.getrandbits(48):012x}",
    )
    if rng.random() < 0.44:
        address = f"{rng.choice(_NAMES)}@{rng.choice(_DOMAINS)}"
        if rng.random() < 0.5:
            text += f" user {address}"
        else:
            extra["user_email"] = address
    if rng.random() < 0.44:
        address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        if rng.random() < 0.5:
            text += f" from {address}"
        else:
            extra["client_ip"] = address
    draw = rng.random()
    if draw < 0.01:
        text += f" card {rng.choice(_CARDS)}"
    elif draw < 0.02:
        text += f" Authorization: Bearer {_TOKEN}"
    elif draw < 0.03:
        text += f" via 2001:db8::{rng.getrandbits(16):x}:{rng.getrandbits(16):x}"
    elif draw < 0.04:
        text += rng.choice(_ESCAPES)
    return text


def _time(seconds: int, micros: int, form: str) -> Any:
    if form == layouts.EPOCH_MS:
        return seconds * 1000 + micros // 1000
    if form == layouts.EPOCH_S:
        return seconds + micros / 1e6
    if form == layouts.EPOCH_NS:
        return str((seconds * 1_000_000 + micros) * 1000)
    minutes, second = divmod(seconds - _FIRST, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours + 10, 24)
    clock = f"{hour:02d}:{minute:02d}:{second:02d}"
    day = f"2025-11-{25 + days % 5:02d}"
    if form == layouts.ISO_MS:
        return f"{day}T{clock}.{micros // 1000:03d}Z"
    if form == layouts.ISO_US:
        return f"{day}T{clock}.{micros:06d}Z"
    if form == layouts.OFFSET:
        return f"{day}T{clock}.{micros:06d}+00:00"
    return f"{day} {clock},{micros // 1000:03d}"
