"""The job as one would write it plainly in an afternoon: orjson, compiled patterns, an event at a time.

Signature, nonce, bucket, parse, normalise, mask, append. It gives the same records as our gateways for the bodies of
the corpus (tests/bench/test_peers.py). It is let off what they also do: it keeps its nonces in memory alone, counts no
metrics, and bounds neither bodies nor time. Two things are for the application to choose: how a string is masked
(`mask_text`, `mask_text_guarded`), and whether lines are synced before the answer (`DayFile`, `SyncedDayFile`).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import threading
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

TOLERANCE: Final = 300
LEVELS: Final = {
    "trace": "TRACE", "debug": "DEBUG", "info": "INFO", "information": "INFO", "notice": "INFO", "warn": "WARN",
    "warning": "WARN", "err": "ERROR", "error": "ERROR", "fatal": "FATAL", "crit": "FATAL", "critical": "FATAL",
    "emerg": "FATAL", "alert": "FATAL",
}  # fmt: skip
EMAIL: Final = re.compile(r"\b([A-Za-z0-9])[A-Za-z0-9._%+-]*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})")
IPV4: Final = re.compile(
    r"(?<![\w.])(25[0-5]|2[0-4]\d|1?\d?\d)\.(25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){2}(?![\w]|\.\d)"
)
IPV6: Final = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
CARD: Final = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
BEARER: Final = re.compile(r"\b([Bb]earer) +[A-Za-z0-9._~+/=-]{8,}")
JWT: Final = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
SYNC: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class RefusedError(Exception):
    """Not taken; becomes the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class PlainGateway:
    """One process's worth of the job, up to the lines that are to be stored. ``mask_text`` masks one string."""

    def __init__(
        self,
        secrets: dict[str, str],
        mask_text: Callable[[str], str],
        capacity: float = 1e12,
        rate: float = 1e12,
    ) -> None:
        self.secrets = {key: secret.encode() for key, secret in secrets.items()}
        self.mask = masker(mask_text)
        self.nonces: dict[str, float] = {}
        self.next_sweep = time.time() + 60
        self.capacity = capacity
        self.rate = rate
        self.buckets: dict[str, tuple[float, float]] = {}

    def handle(
        self, method: str, target: str, header: Callable[[str], str | None], body: bytes
    ) -> tuple[int, dict[str, Any], bytes]:
        """Take a request; status, answer, and the lines to store before it is given.

        ``header`` looks one up by its lower-case name.
        """
        try:
            emitter = self.verify(method, target, header, body)
            events = self.parse(header("content-type") or "application/json", body)
            self.take(emitter, len(events))
        except RefusedError as refused:
            return refused.status, {"error": refused.reason, "detail": str(refused)}, b""
        return 200, *self.records(events, emitter, header("x-scenario-id") or "na")

    def verify(self, method: str, target: str, header: Callable[[str], str | None], body: bytes) -> str:
        """The client, once signature, clock and nonce are in order."""
        key, stamp, nonce = header("x-api-key"), header("x-timestamp"), header("x-nonce")
        digest, signature = header("x-content-sha256"), header("x-signature")
        if not (key and stamp and nonce and digest and signature):
            raise RefusedError(401, "missing_headers")
        secret = self.secrets.get(key)
        if secret is None:
            raise RefusedError(401, "unknown_client")
        now = time.time()
        if abs(now - int(stamp)) > TOLERANCE:
            raise RefusedError(401, "clock_skew")
        message = "\n".join((method, target, digest.lower(), stamp, nonce))
        mac = hmac.new(secret, message.encode(), hashlib.sha256)
        if not hmac.compare_digest(b64encode(mac.digest()).decode(), signature):
            raise RefusedError(401, "bad_signature")
        if hashlib.sha256(body).hexdigest() != digest.lower():
            raise RefusedError(401, "bad_content_sha256")
        if now > self.next_sweep:
            self.nonces = {nonce: expiry for nonce, expiry in self.nonces.items() if expiry > now}
            self.next_sweep = now + 60
        if self.nonces.get(f"{key}:{nonce}", 0) > now:
            raise RefusedError(401, "replay")
        self.nonces[f"{key}:{nonce}"] = int(stamp) + TOLERANCE
        return key

    def take(self, emitter: str, cost: int) -> None:
        """Take tokens from the emitter's bucket."""
        now = time.monotonic()
        tokens, last = self.buckets.get(emitter, (self.capacity, now))
        tokens = min(self.capacity, tokens + (now - last) * self.rate)
        if cost > tokens:
            raise RefusedError(429, "rate_limited")
        self.buckets[emitter] = (tokens - cost, now)

    def parse(self, content_type: str, body: bytes) -> list[dict[str, Any]]:
        """The events of a JSON or NDJSON body."""
        try:
            if content_type.startswith("application/x-ndjson"):
                return [orjson.loads(line) for line in body.splitlines() if line.strip()]
            events = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise RefusedError(400, "malformed") from None
        return events if isinstance(events, list) else [events]

    def records(self, events: list[dict[str, Any]], emitter: str, scenario_id: str) -> tuple[dict[str, Any], bytes]:
        """Normalise, mask, serialise; the summary and the lines."""
        now = datetime.now(UTC)
        levels: Counter[str] = Counter()
        missing_ts = missing_level = 0
        lines = []
        for event in events:
            ts = self.first(event, "ts", "timestamp", "time", "@timestamp")
            event["ts"] = self.settle_ts(ts)
            if event["ts"] is None:
                missing_ts += 1
                event["ts"] = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            level = LEVELS.get(str(self.first(event, "level", "lvl", "severity", "loglevel")).lower())
            if level is None:
                missing_level += 1
            event["level"] = level or "INFO"
            levels[event["level"]] += 1
            msg = self.first(event, "msg", "message", "log", "text")
            event["msg"] = msg if isinstance(msg, str) else orjson.dumps(msg).decode() if msg is not None else ""
            event["emitter"] = emitter
            event["scenario_id"] = scenario_id
            event.setdefault("app", "logops")
            event.setdefault("source", "ingest")
            lines.append(orjson.dumps(self.mask(event), option=orjson.OPT_APPEND_NEWLINE))
        summary = {
            "accepted": len(events),
            "rejected": 0,
            "missing_ts": missing_ts,
            "missing_level": missing_level,
            "levels": dict(levels),
            "emitter": emitter,
            "scenario_id": scenario_id,
            "batch_id": uuid.uuid4().hex,
            "errors": [],
        }
        return summary, b"".join(lines)

    @staticmethod
    def first(event: dict[str, Any], *names: str) -> Any:
        """The value of the first name that is there, taken out."""
        for name in names:
            if event.get(name) is not None:
                return event.pop(name)
        return None

    @staticmethod
    def settle_ts(value: Any) -> str | None:
        """RFC 3339 in UTC, None where the value is none."""
        if not isinstance(value, str):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        if value.endswith("Z"):
            return value
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class DayFile:
    """The file of the day, appended to: lines are with the operating system when ``append`` returns."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.day = ""
        self.file: BinaryIO | None = None

    def append(self, lines: bytes) -> None:
        """Store a batch's lines."""
        self.write(lines)

    def write(self, lines: bytes) -> BinaryIO:
        """Write to today's file, and which that is."""
        day = datetime.now(UTC).strftime("%Y%m%d")
        if self.file is None or day != self.day:
            # Yesterday's closes itself once no thread syncs it any more.
            self.file = (self.directory / f"{day}.ndjson").open("ab")
            self.day = day
        self.file.write(lines)
        self.file.flush()
        return self.file


class SyncedDayFile(DayFile):
    """The same, for several threads: lines are on the disk when ``append`` returns."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.lock = threading.Lock()

    def append(self, lines: bytes) -> None:
        """Store a batch's lines. Threads sync at the same time: the file system may commit them together."""
        with self.lock:
            file = self.write(lines)
        SYNC(file.fileno())


def mask_text(text: str) -> str:
    """One string, masked: each pattern in turn, as one writes it first."""
    text = BEARER.sub(r"\1 ***", text)
    text = JWT.sub("***jwt***", text)
    text = EMAIL.sub(r"\1***@\2", text)
    text = CARD.sub(_mask_card, text)
    text = IPV4.sub(r"\1.\2.x.x", text)
    return IPV6.sub(_mask_ipv6, text)


def mask_text_guarded(text: str) -> str:
    """The same, asked first what each pattern cannot do without: a quarter of the time."""
    if "earer" in text:
        text = BEARER.sub(r"\1 ***", text)
    if "eyJ" in text:
        text = JWT.sub("***jwt***", text)
    if "@" in text:
        text = EMAIL.sub(r"\1***@\2", text)
    if len(text) > 12:
        text = CARD.sub(_mask_card, text)
    if text.count(".") > 2:
        text = IPV4.sub(r"\1.\2.x.x", text)
    if text.count(":") > 1:
        text = IPV6.sub(_mask_ipv6, text)
    return text


def masker(mask_text: Callable[[str], str]) -> Callable[[Any], Any]:
    """What masks personal data in every string of a value."""

    def mask(value: Any) -> Any:
        if isinstance(value, str):
            return mask_text(value)
        if isinstance(value, dict):
            return {key: mask(item) for key, item in value.items()}
        if isinstance(value, list):
            return [mask(item) for item in value]
        return value

    return mask


mask: Final = masker(mask_text_guarded)


def _mask_card(found: re.Match[str]) -> str:
    digits = [int(character) for character in found[0] if character.isdigit()]
    doubled = [digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(digits[::-1])]
    if sum(doubled) % 10:
        return found[0]
    return re.sub(r"\d", "*", found[0][:-4]) + found[0][-4:]


def _mask_ipv6(found: re.Match[str]) -> str:
    try:
        groups = ipaddress.IPv6Address(found[0]).exploded.split(":")
    except ValueError:
        return found[0]
    return f"{int(groups[0], 16):x}:{int(groups[1], 16):x}:x:x:x:x:x:x"
