"""JSON items to events, for JSON and NDJSON alike: whole bodies, and pieces of large ones in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from logops_fast.formats.pieces import groups
from logops_fast.ingest.parsers import base, envelopes
from logops_fast.ingest.parsers.json_values import read_event
from logops_fast.ingest.parsers.loki_entries import MAX_REPEATED_IN_ENVELOPE, EntryReader

STEP_ITEMS: Final = 64


class JsonReader:
    """Reads the items of one body. What its first event is decides how all of them are read."""

    __slots__ = ("_bulk", "_entries", "_kind", "_started")

    def __init__(self) -> None:
        self._started = False
        self._kind = ""
        self._bulk = envelopes.BulkLines()
        self._entries = EntryReader(MAX_REPEATED_IN_ENVELOPE)

    def events(self, events: list[dict[str, Any]]) -> base.Parsed:
        """Return the events of items that are all objects and can be stored.

        Raises base.MalformedBody: ``otlp_not_supported`` or ``unsupported_envelope``.
        """
        if not self._started and events:
            self._started = True
            if not envelopes.TELLTALE_KEYS.isdisjoint(events[0]):
                self._kind = envelopes.kind_of(events[0], events[1] if len(events) > 1 else None)
        if not self._kind:
            return base.Parsed(events, [])
        return self._open(list(events))

    def items(self, items: list[bytes]) -> base.Parsed:
        """Return the events and faults of items of which some may be no object, or spoilt.

        Raises base.MalformedBody: ``otlp_not_supported`` or ``unsupported_envelope``.
        """
        verdicts = list(map(read_event, items))
        if not self._started:
            for at, verdict in enumerate(verdicts):
                if isinstance(verdict, dict):
                    self._started = True
                    if not envelopes.TELLTALE_KEYS.isdisjoint(verdict):
                        self._kind = envelopes.kind_of(verdict, verdicts[at + 1] if at + 1 < len(items) else None)
                    break
        return self._open(
            [
                (verdict, item) if isinstance(verdict, str) else verdict
                for verdict, item in zip(verdicts, items, strict=True)
            ]
        )

    def in_steps(self, items: list[bytes]) -> Iterator[base.Parsed]:
        """Read items as ``items`` does, a part in each step: a spoilt one may cost thirty times what others do."""
        for some in groups(items, STEP_ITEMS):
            yield self.items(list(some))

    def finish(self) -> base.Parsed:
        """Return what is left once all items have been read."""
        left = self._bulk.finish()
        return envelopes.collect([] if left is None else [left])

    def _open(self, parts: list[envelopes.Unwrapped]) -> base.Parsed:
        if self._kind == envelopes.BULK:
            taken = map(self._bulk.take, parts)
            return envelopes.collect([part for part in taken if part is not None])
        if not self._kind:
            return envelopes.collect(parts)
        opened: list[envelopes.Unwrapped] = []
        for part in parts:
            if isinstance(part, tuple):
                opened.append(part)
            else:
                opened += envelopes.unwrap(part, self._entries)
        return envelopes.collect(opened)
