"""What was read of a batch so far, and the answer that it makes (contract 2)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from logops_fast.formats.batch import Batch
from logops_fast.ingest.levels import LEVELS
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normalised, Normaliser
from logops_fast.ingest.parsers.base import EVENT_TOO_LARGE, Fault, Parsed, fault
from logops_fast.ingest.rejected import rejected_lines
from logops_fast.ingest.settling import overrule

MAX_ERRORS: Final = 50
"""Errors listed in an answer; all are counted."""

STEP_ITEMS: Final = 128
"""Events of a large batch that are normalised in one step: as many as the normaliser takes together."""

STEP_MEMBERS: Final = 4096
"""Members that these events may have in all: a row of CSV may have as many by itself."""


class Reading:
    """A batch being read: lines to store, lines of what is rejected, and counts. Pieces are taken in order.

    ``missing_ts``, ``missing_level``, ``levels`` and ``masked`` are as in Normalised. An event whose line turned out
    too long is no longer in ``count`` and ``levels``, but what was missing or masked in it stays counted.
    """

    __slots__ = (
        "_items",
        "_left",
        "_left_at",
        "_lines",
        "_max_event_bytes",
        "_native",
        "_normaliser",
        "_rejected",
        "batch",
        "count",
        "errors",
        "faults",
        "levels",
        "masked",
        "missing_level",
        "missing_ts",
        "received_at",
        "too_large",
    )

    def __init__(
        self,
        batch: Batch,
        normaliser: Normaliser,
        max_event_bytes: int,
        received_at: float,
        native: NativeReader | None = None,
    ) -> None:
        """``native``: normalises in place of the normaliser where it can."""
        self.batch = batch
        self.received_at = received_at
        self.count = 0
        self.missing_ts = 0
        self.missing_level = 0
        self.levels: dict[str, int] = {}
        self.masked: dict[str, int] = {}
        self.faults = 0
        self.errors: list[Fault] = []  # the first ones, without their texts
        self.too_large = 0  # how many of the faults are
        self._normaliser = normaliser
        self._native = native
        self._max_event_bytes = max_event_bytes
        self._items = 0
        self._lines: list[bytes] = []
        self._rejected: list[bytes] = []
        self._left: Parsed | None = None
        self._left_at = 0

    def take(self, parsed: Parsed, checked: bool = True) -> None:
        """Normalise the events and render the faults of a piece whose faults count from its own beginning.

        ``checked``: see `Normaliser.run`, and what it raises.
        """
        events, faults = parsed
        first, self._items = self._items, self._items + len(events) + len(faults)
        if faults:
            self._reject([one._replace(index=one.index + first) for one in faults] if first else faults)
        if events:
            self._normalise(events, first, faults, checked)

    def _normalise(self, events: list[dict[str, Any]], first: int, faults: list[Fault], checked: bool = True) -> None:
        """Normalise events whose first item has the index ``first``; ``faults`` are among them."""
        if self.batch.tenant:
            for event in events:
                overrule(event, "tenant", self.batch.tenant)
                event["tenant"] = self.batch.tenant
        batch, native = self.batch, self._native
        # Each event without a time of its own gets a microsecond of its own, in all pieces together.
        before = self.missing_ts
        normalised = None
        if native is not None:
            normalised = native.normalise(
                events,
                emitter=batch.emitter,
                scenario_id=batch.scenario_id,
                received_at=self.received_at,
                receipts_before=before,
            )
        if normalised is None:
            normalised = self._normaliser.run(
                events,
                emitter=batch.emitter,
                scenario_id=batch.scenario_id,
                received_at=self.received_at,
                receipts_before=before,
                checked=checked,
            )
        self._add(normalised, first, faults)

    def take_normalised(self, normalised: Normalised) -> None:
        """Take a piece without any fault that is normalised already."""
        first, self._items = self._items, self._items + normalised.count
        self._add(normalised, first, [])

    def _add(self, normalised: Normalised, first: int, faults: list[Fault]) -> None:
        lines = normalised.lines
        if len(lines) > self._max_event_bytes and _has_line_over(lines, self._max_event_bytes):
            normalised = self._set_aside(normalised, first, faults)
            lines = normalised.lines
        self._lines.append(lines)
        if self.count:
            for level, number in normalised.levels.items():
                self.levels[level] = self.levels.get(level, 0) + number
            for kind, number in normalised.masked.items():
                self.masked[kind] = self.masked.get(kind, 0) + number
        else:
            self.levels = normalised.levels
            self.masked = normalised.masked
        self.count += normalised.count
        self.missing_ts += normalised.missing_ts
        self.missing_level += normalised.missing_level

    def hold(self, parsed: Parsed) -> None:
        """Keep a piece of which ``take_more`` takes some at each call."""
        if parsed.events or parsed.faults:
            self._left = parsed
            self._left_at = 0

    def take_more(self) -> bool:
        """Take STEP_ITEMS events and faults at most of what ``hold`` kept; return whether there were any."""
        left = self._left
        if left is None:
            return False
        at = self._left_at
        end = at + STEP_ITEMS
        events = left.events[at:end]
        if sum(map(len, events)) > STEP_MEMBERS:
            events = _first_of(events)
            end = at + len(events)
        faults = left.faults[at:end]
        self._left_at = end
        first = self._items
        if faults:
            self._reject([one._replace(index=one.index + first) for one in faults])
        if events:
            self._normalise(events, first + at, [])
        if end >= len(left.events) and end >= len(left.faults):
            self._items = first + len(left.events) + len(left.faults)
            self._left = None
        return True

    def lines(self) -> bytes:
        """Return the lines to store, and keep them no longer."""
        lines, self._lines = self._lines, []
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def rejected(self) -> bytes:
        """Return the lines of the rejected file, and keep them no longer."""
        lines, self._rejected = self._rejected, []
        return b"".join(lines)

    def _reject(self, faults: list[Fault]) -> None:
        for one in faults:
            if len(self.errors) < MAX_ERRORS:
                self.errors.append(one._replace(text=""))
            if one.reason == EVENT_TOO_LARGE:
                self.too_large += 1
        self.faults += len(faults)
        self._rejected.append(rejected_lines(self.batch, faults, self._normaliser.mask_text, self.received_at))

    def _set_aside(self, normalised: Normalised, first: int, faults: list[Fault]) -> Normalised:
        """Take the lines that are too long to be stored out of what was normalised."""
        lines = normalised.lines.split(b"\n")
        levels = dict(normalised.levels)
        unread = {one.index for one in faults}
        places = (index for index in range(len(lines) + len(unread)) if index not in unread)
        kept: list[bytes] = []
        large: list[Fault] = []
        for line, index in zip(lines, places, strict=False):
            if len(line) <= self._max_event_bytes:
                kept.append(line)
                continue
            large.append(fault(first + index, EVENT_TOO_LARGE, line))
            level = orjson.loads(line)["level"]
            levels[level] -= 1
        self._reject(large)
        return Normalised(
            b"\n".join(kept),
            normalised.count - len(large),
            normalised.missing_ts,
            normalised.missing_level,
            {level: number for level, number in levels.items() if number},
            normalised.masked,
        )


def _first_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first events that have STEP_MEMBERS members in all, and at least one."""
    members = len(events[0])
    for at in range(1, len(events)):
        members += len(events[at])
        if members > STEP_MEMBERS:
            return events[:at]
    return events


def _has_line_over(lines: bytes, limit: int) -> bool:
    """Return whether a line is longer than ``limit``; looks at one newline in each ``limit`` bytes."""
    pos, size = 0, len(lines)
    while size - pos > limit:
        end = lines.rfind(b"\n", pos, pos + limit + 1)
        if end < 0:
            return True
        pos = end + 1
    return False


def summarise(reading: Reading, *, stored: bool) -> bytes:
    """Return the summary as JSON; it has ``"stored": false`` if the sink is switched off."""
    batch = reading.batch
    levels = reading.levels
    if len(levels) > 1:  # in one order, whatever pieces they were counted in
        levels = {level: levels[level] for level in LEVELS if level in levels}
    summary: dict[str, Any] = {
        "accepted": reading.count,
        "rejected": reading.faults,
        "missing_ts": reading.missing_ts,
        "missing_level": reading.missing_level,
        "levels": levels,
        "emitter": batch.emitter,
        "scenario_id": batch.scenario_id,
        "batch_id": batch.batch_id,
        "errors": [{"index": error.index, "reason": error.reason} for error in sorted(reading.errors)]
        if reading.faults
        else [],
    }
    if not stored:
        summary["stored"] = False
    return orjson.dumps(summary)
