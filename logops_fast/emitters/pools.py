"""Material for synthetic events: levels, services, and messages with personal data to be masked.

All of it is invented: addresses are of the documentation and private ranges (RFC 2606, 5737, 3849, 1918), card numbers
are the networks' published test numbers, tokens are not valid anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Generic, NamedTuple, TypeVar

from logops_fast.emitters.base import LEVELS

POOL_SIZE: Final = 4096
"""Events made in advance. A batch is a run of them that begins at a random place, which costs next to nothing."""

SERVICES: Final = ("checkout", "catalog", "payments", "identity", "search", "shipping")
HOSTS: Final = ("web-01", "web-02", "api-01", "db-01", "edge-eu-1")

_USUAL: Final = {"TRACE": 0.02, "DEBUG": 0.13, "INFO": 0.66, "WARN": 0.13, "ERROR": 0.055, "FATAL": 0.005}
_GRAVE: Final = ("ERROR", "FATAL")
_FATAL_SHARE: Final = 0.1  # of grave events, where their share is given

_NAMES: Final = ("ana", "bob.smith", "chloe", "d.vader", "erin+news", "frank_l", "grace", "heidi")
_DOMAINS: Final = ("example.com", "mail.example.org", "corp.example.net")
_CARDS: Final = ("4111 1111 1111 1111", "5555555555554444", "3782-822463-10005")
_TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVkLWJ5LW5vYm9keQ"  # noqa: S105 - not valid anywhere
_PATHS: Final = ("/api/v1/orders", "/api/v1/cart/items", "/health", "/login", "/api/v2/products/search")
_CALM: Final = (
    "{verb} {path} answered {status} in {ms} ms",
    "cache hit ratio {pct}% over the last minute, build 1.2.3",
    "order {hex} moved to state PAID, {n} items",
    "user {email} signed in from {ip}",
    "session {hex} of {email} renewed",
    "connection from {ip6} accepted",
    "job {hex} finished, {n} rows written",
)
_GRIM: Final = (
    "{verb} {path} answered 502 after {ms} ms: upstream timed out",
    "payment of {email} refused, card {card}",
    "bad credentials from {ip}, header Authorization: Bearer {token}",
    "could not reach {ip}: connection refused, attempt {n} of 5",
    "order {hex} could not be stored: deadlock detected",
)


class Event(NamedTuple):
    """The parts that all forms of an event share."""

    level: str
    msg: str
    app: str
    host: str
    pid: int
    request_id: str
    duration_ms: int


def address(rng: random.Random) -> str:
    """Return an IPv4 address of a private or a documentation range."""
    if rng.random() < 0.5:
        return f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    return f"203.0.113.{rng.randrange(1, 255)}"


def email(rng: random.Random) -> str:
    """Return an e-mail address."""
    return f"{rng.choice(_NAMES)}@{rng.choice(_DOMAINS)}"


def message(rng: random.Random, level: str) -> str:
    """Return a message that suits the level; about a third have personal data."""
    return rng.choice(_GRIM if level in ("WARN", *_GRAVE) else _CALM).format(
        verb=rng.choice(("GET", "POST", "PUT", "DELETE")),
        path=rng.choice(_PATHS),
        status=rng.choice((200, 200, 200, 201, 204, 404)),
        ms=rng.randrange(1, 900),
        pct=rng.randrange(40, 100),
        n=rng.randrange(1, 9),
        hex=f"{rng.getrandbits(48):012x}",
        email=email(rng),
        ip=address(rng),
        ip6=f"2001:db8::{rng.getrandbits(16):x}:{rng.getrandbits(16):x}",
        card=rng.choice(_CARDS),
        token=_TOKEN,
    )


def events(rng: random.Random, error_ratio: float | None, count: int = POOL_SIZE) -> list[Event]:
    """Return ``count`` events in random order."""
    weights = dict(_USUAL)
    if error_ratio is not None:
        calm = 1.0 - sum(_USUAL[level] for level in _GRAVE)
        weights = {level: share / calm * (1.0 - error_ratio) for level, share in _USUAL.items()}
        weights["FATAL"] = error_ratio * _FATAL_SHARE
        weights["ERROR"] = error_ratio - weights["FATAL"]
    drawn = rng.choices(LEVELS, cum_weights=list(accumulate(weights[level] for level in LEVELS)), k=count)
    return [
        Event(
            level,
            message(rng, level),
            rng.choice(SERVICES),
            rng.choice(HOSTS),
            rng.randrange(300, 32_768),
            f"{rng.getrandbits(64):016x}",
            rng.randrange(1, 900),
        )
        for level in drawn
    ]


Item = TypeVar("Item")


class Pool(Generic[Item]):
    """Items with their levels, handed out as runs. Counting the levels of a run takes one subtraction a level."""

    __slots__ = ("_items", "_rng", "_size", "_sums")

    def __init__(self, items: Sequence[Item], levels: Sequence[str | None], rng: random.Random) -> None:
        self._items = (*items, *items)  # a run may pass the end
        self._size = len(items)
        self._rng = rng
        twice = (*levels, *levels)
        self._sums = {
            level: (0, *accumulate(1 if found == level else 0 for found in twice)) for level in LEVELS if level in twice
        }

    def run(self, count: int) -> tuple[Sequence[Item], dict[str, int]]:
        """Return ``count`` items from a random place on, and the number of items of each level."""
        size = self._size
        start = int(self._rng.random() * size)
        whole, rest = divmod(count, size)
        end = start + rest
        levels: dict[str, int] = {
            level: found
            for level, sums in self._sums.items()
            if (found := sums[end] - sums[start] + whole * sums[size])
        }
        items = self._items[start:end]
        return (items if not whole else (*items, *(self._items[start : start + size] * whole))), levels
