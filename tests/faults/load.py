"""Steady signed load that retries each batch until it is stored, a watcher of /readyz, and the count in the files."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from tests.support.gateway import KEY, SECRET
from tests.support.signing import signed

EVENTS_A_BATCH = 10
BAD_EVERY = 5  # every fifth batch also holds an event that cannot be read
PAUSE = 0.004  # s between two batches of one sender
CLIENT_TIMEOUT = 6.0  # s

RETRYABLE_401 = {"clock_skew", "replay"}
"""Refusals that a new signature overcomes: a clock that was stepped, a nonce store that lost its memory."""


class Sender(threading.Thread):
    """Sends numbered batches; repeats each under its own id, newly signed, until it is acknowledged."""

    def __init__(self, port: int, name: str, pause: float = PAUSE) -> None:
        super().__init__(name=name, daemon=True)
        self.port = port
        self.pause = pause
        self.acknowledged: list[str] = []  # batch names, in order
        self.last_sent = 0.0  # when the request that was acknowledged last was begun
        self.last_acknowledged = 0.0
        self.failures: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            batch = f"{self.name}-{number}"
            body = json.dumps(events_of(batch)).encode()
            while not self.stopping.is_set():
                if self._try(batch, body):
                    self.acknowledged.append(batch)
                    self.stopping.wait(self.pause)
                    break
                self.stopping.wait(0.02)
        self._close()

    def _try(self, batch: str, body: bytes) -> bool:
        sent = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CLIENT_TIMEOUT)
            headers = signed(KEY, SECRET, body) | {"X-Batch-Id": batch, "Content-Type": "application/json"}
            self._connection.request("POST", "/ingest", body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._close()
            self.failures[type(error).__name__] += 1
            return False
        if response.status == 200:
            if orjson.loads(text)["accepted"] != EVENTS_A_BATCH:
                self.unexpected.append(f"{batch}: {text!r}")
            self.last_sent, self.last_acknowledged = sent, time.monotonic()
            return True
        reason = orjson.loads(text)["error"]
        self.failures[f"{response.status} {reason}"] += 1
        if response.status < 500 and reason not in RETRYABLE_401:
            self.unexpected.append(f"{batch}: {response.status} {text!r}")
        return False

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def events_of(batch: str) -> list[object]:
    """Return the events of a batch; each has a key of its own."""
    events: list[object] = [{"msg": f"{batch} {'x' * 60}", "key": f"{batch}.{i}"} for i in range(EVENTS_A_BATCH)]
    if int(batch.rsplit("-", 1)[1]) % BAD_EVERY == 0:
        events.append(f"stray of {batch}")
    return events


class Sample(NamedTuple):
    """One answer of /readyz; status 0 if there was none. ``at`` is when it was asked for."""

    at: float
    answered: float
    status: int
    reason: str


class Watcher(threading.Thread):
    """Asks /readyz again and again, and keeps every answer."""

    def __init__(self, port: int) -> None:
        super().__init__(name="watcher", daemon=True)
        self.port = port
        self.samples: list[Sample] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(0.02):
            at = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                response = connection.getresponse()
                text = response.read()
                reason = "" if response.status == 200 else orjson.loads(text)["error"]
                self.samples.append(Sample(at, time.monotonic(), response.status, reason))
            except (OSError, http.client.HTTPException):
                self.samples.append(Sample(at, time.monotonic(), 0, ""))
            finally:
                connection.close()

    def between(self, start: float, end: float) -> list[Sample]:
        return [sample for sample in self.samples if start <= sample.at < end]


@dataclass
class Load:
    """Some senders and a watcher on one port."""

    port: int
    senders: list[Sender] = field(default_factory=list)
    watcher: Watcher = field(init=False)

    @classmethod
    def start(cls, port: int, name: str, senders: int = 4, pause: float = PAUSE) -> Load:
        load = cls(port, [Sender(port, f"{name}.{i}", pause) for i in range(senders)])
        load.watcher = Watcher(port)
        for thread in (*load.senders, load.watcher):
            thread.start()
        return load

    def acknowledged(self) -> list[str]:
        """Names of the batches acknowledged until now."""
        return [batch for sender in self.senders for batch in tuple(sender.acknowledged)]

    def unexpected(self) -> list[str]:
        return [text for sender in self.senders for text in sender.unexpected]

    def failures(self) -> Counter[str]:
        return sum((sender.failures for sender in self.senders), Counter())

    def recovered(self, since: float, timeout: float) -> float:
        """Seconds from ``since`` until every sender had a batch acknowledged that it sent after it."""
        deadline = time.monotonic() + timeout
        while any(sender.last_sent < since for sender in self.senders):
            if time.monotonic() > deadline:
                stuck = [s.name for s in self.senders if s.last_sent < since]
                raise AssertionError(f"not recovered in {timeout} s: {stuck}, {self.failures()}")
            time.sleep(0.01)
        return max(sender.last_acknowledged for sender in self.senders) - since

    def ready(self, timeout: float) -> None:
        """Wait until a look at /readyz that begins now says 200."""
        start = time.monotonic()
        while not any(s.at >= start and s.status == 200 for s in self.watcher.samples[-20:]):
            if time.monotonic() > start + timeout:
                raise AssertionError(f"/readyz is not 200 again: {self.watcher.samples[-3:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        threads: list[Sender | Watcher] = [*self.senders, self.watcher]
        for thread in threads:
            thread.stopping.set()
        for thread in threads:
            thread.join(CLIENT_TIMEOUT + 5)


class Count(NamedTuple):
    """How many events of the acknowledged batches the files hold."""

    acknowledged: int
    lost: list[str]
    duplicated: list[str]


def count(places: Iterable[Path], acknowledged: Iterable[str]) -> Count:
    """Compare acknowledged batches with sinks, or with files of theirs that were moved. Raises if a line is torn."""
    stored: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for path in places:
        files = [path] if path.is_file() else [*path.glob("*.ndjson"), *(path / "rejected").glob("*.ndjson")]
        for line in (line for file in files for line in whole_lines(file)):
            event = orjson.loads(line)
            if "key" in event:
                stored[event["key"]] += 1
            else:
                rejected[event["batch_id"]] += 1
    batches = list(acknowledged)
    keys = [f"{batch}.{i}" for batch in batches for i in range(EVENTS_A_BATCH)]
    strays = [batch for batch in batches if int(batch.rsplit("-", 1)[1]) % BAD_EVERY == 0]
    return Count(
        len(keys) + len(strays),
        [key for key in keys if not stored[key]] + [f"stray of {batch}" for batch in strays if not rejected[batch]],
        [key for key, n in stored.items() if n > 1] + [f"stray of {batch}" for batch, n in rejected.items() if n > 1],
    )


def whole_lines(path: Path) -> list[bytes]:
    """Return all complete lines; while the gateway writes, what follows the last newline is not a line yet."""
    return path.read_bytes().split(b"\n")[:-1]
