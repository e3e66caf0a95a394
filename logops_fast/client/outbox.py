"""A bounded queue of encoded events, and the counts of those that were dropped."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Final

MAX_BATCH_BYTES: Final = 1_048_576

QUEUE_FULL: Final = "queue_full"


class Outbox:
    """Queues at most ``max_events`` and ``max_bytes``; an event over that is dropped and counted.

    Thread-safe. Events that were taken are out for delivery until ``settle`` is called.
    """

    __slots__ = ("_bytes", "_events", "_lock", "_max_bytes", "_max_events", "_taken", "dropped")

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.dropped: Counter[str] = Counter()
        self.renew()

    def renew(self) -> None:
        """Start empty with a new lock: after a fork the old one may be held by a thread that no longer exists."""
        self._lock = threading.Lock()
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._taken = 0
        self.dropped.clear()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def empty(self) -> bool:
        """Whether nothing is queued and nothing is out for delivery."""
        with self._lock:
            return not self._events and not self._taken

    @property
    def unsettled(self) -> int:
        """Events queued or out for delivery."""
        with self._lock:
            return len(self._events) + self._taken

    def put(self, event: bytes) -> bool:
        """Queue an event; return False if it was dropped."""
        with self._lock:
            if len(self._events) + self._taken >= self._max_events or self._bytes + len(event) > self._max_bytes:
                self.dropped[QUEUE_FULL] += 1
                return False
            self._events.append(event)
            self._bytes += len(event)
            return True

    def take(self, count: int) -> list[bytes]:
        """Take out the oldest events: at most ``count`` and MAX_BATCH_BYTES, but at least one."""
        batch: list[bytes] = []
        size = 0
        with self._lock:
            events = self._events
            while events and len(batch) < count and (not batch or size + len(events[0]) < MAX_BATCH_BYTES):
                event = events.popleft()
                size += len(event) + 1
                batch.append(event)
            self._taken += len(batch)
        return batch

    def settle(self, batch: list[bytes], dropped_for: str = "") -> None:
        """Count these events as delivered, or as dropped for a reason."""
        with self._lock:
            if self._taken < len(batch):
                return  # abandoned in the meantime, and counted then
            self._taken -= len(batch)
            self._bytes -= sum(map(len, batch))
            if dropped_for:
                self.dropped[dropped_for] += len(batch)

    def abandon(self, reason: str) -> None:
        """Count everything that is left as dropped."""
        with self._lock:
            left = len(self._events) + self._taken
            if left:
                self.dropped[reason] += left
            self._events.clear()
            self._taken = self._bytes = 0
