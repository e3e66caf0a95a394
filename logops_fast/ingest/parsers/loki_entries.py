"""Makes events of the entries of Loki's streams, for protobuf and JSON alike (contract 10).

An entry's time and line become ``ts`` and ``msg``, a line that is a JSON object an event of that object; the stream's
labels and the entry's structured metadata become fields. So events can be far larger than the body: what the
labels add up to is bounded, and events are handed on in pieces.
"""

from __future__ import annotations

from typing import Any, Final

from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.ingest.epoch import utc_seconds
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import read_event
from logops_fast.ingest.parsers.loki_labels import MAX_LABELS
from logops_fast.ingest.parsers.members import add_members, text_of
from logops_fast.ingest.timestamps import LEAST_NUMBER

MAX_REPEATED_BYTES: Final = 32 << 20
"""Bytes that the labels of all entries of a push may come to: 100,000 entries with 335 each."""

MAX_REPEATED_IN_ENVELOPE: Final = 4 << 20
"""The same for streams among other JSON, which small bodies are read of in one step: 2,000 entries with 2 KiB each."""

_YEAR_10000: Final = 253_402_300_800
_NANOS: Final = 10**9
_NANOS_DIGITS: Final = 19
_BRACE: Final = 0x7B


class EntryReader:
    """Makes events of one body's entries, and hands them on in pieces; indexes of faults restart in each.

    ``most``: bytes that the labels of all entries may come to.
    """

    __slots__ = (
        "_events",
        "_faults",
        "_label_bytes",
        "_labels",
        "_minute",
        "_most",
        "_plain",
        "_prefix",
        "_repeated",
        "_weight",
    )

    def __init__(self, most: int = MAX_REPEATED_BYTES) -> None:
        self._most = most
        self._events: list[dict[str, Any]] = []
        self._faults: list[base.Fault] = []
        self._weight = 0
        self._repeated = 0
        self._labels: dict[str, Any] | None = None
        self._label_bytes = 0
        self._plain = True
        self._minute = -1
        self._prefix = ""

    def begin(self, labels: dict[str, Any] | None, size: int) -> None:
        """Begin a stream: its labels, None if they cannot be read, and how many bytes they are."""
        if labels is not None and len(labels) > MAX_LABELS:
            labels = None
        self._labels = labels
        self._label_bytes = size if labels is not None else 0
        self._plain = labels is not None and "ts" not in labels and "msg" not in labels

    def add(self, ts: Any, line: bytes, metadata: dict[str, Any] | None, size: int) -> None:
        """Take an entry of ``size`` bytes; ``ts`` is anything that names a time, or None.

        Raises base.MalformedBody: ``too_large`` if the labels of all entries come to too much.
        """
        labels = self._labels
        if labels is None:
            self.fault(base.BAD_LABELS, line)
            return
        self._weight += size + self._label_bytes
        self._repeated += self._label_bytes
        if self._repeated > self._most:
            raise base.MalformedBody(
                base.TOO_LARGE,
                f"The labels of the streams, repeated for each entry, are over {self._most} bytes: send "
                "fewer entries in a push, or fewer labels.",
            )
        event: dict[str, Any] = {} if ts is None else {"ts": ts}
        held = read_event(line) if line and line[0] == _BRACE else ""
        if isinstance(held, dict) and held:
            if "ts" in held and ts is not None:
                add_members(held, {"ts_raw": held.pop("ts")})
            event.update(held)
            add_members(event, labels)
        else:
            event["msg"] = _text(line)
            if self._plain:
                event.update(labels)
            else:
                add_members(event, labels)
        if metadata:
            add_members(event, metadata)
        self._events.append(event)

    def add_json(self, entry: Any) -> None:
        """Take an entry as JSON has it: ``[time, line]`` or ``[time, line, metadata]``. Raises as ``add`` does."""
        if type(entry) is list and 2 <= len(entry) <= 3 and type(entry[1]) is str:
            metadata = entry[2] if len(entry) == 3 else None
            if metadata is None or type(metadata) is dict:
                line = entry[1].encode("utf-8", "surrogatepass")
                self.add(self._json_time(entry[0]), line, metadata, len(line))
                return
        self.fault(base.BAD_ENTRY, text_of(entry))

    def read(self, size: int) -> None:
        """Note that ``size`` bytes were read whose entries do not tell their size."""
        self._weight += size

    def fault(self, reason: str, text: bytes) -> None:
        """Take something that is not an entry."""
        self._weight += len(text)
        self._faults.append(base.fault(len(self._events) + len(self._faults), reason, text))

    def time(self, seconds: int, nanos: int) -> Any:
        """Return an instant, in seconds and nanoseconds since 1970, as a ``ts``; exact, or an object that says it."""
        if LEAST_NUMBER <= seconds < _YEAR_10000 and 0 <= nanos < _NANOS:
            minute = seconds // 60
            if minute != self._minute:
                self._minute = minute
                self._prefix = utc_seconds(minute * 60)[:-2]
            # Not :02d: compiled code calls format() for it.
            return self._prefix + str(100 + seconds % 60)[1:] + "." + str(_NANOS + nanos)[1:] + "Z"
        return {"seconds": seconds, "nanos": nanos} if seconds or nanos else None

    def _json_time(self, ts: Any) -> Any:
        if type(ts) is str and len(ts) <= _NANOS_DIGITS and ts.isascii() and ts.isdigit():
            if len(ts) >= _NANOS_DIGITS - 1:
                return self.time(int(ts[:-9]), int(ts[-9:]))
            return int(ts)  # as the normaliser reads a number: seconds, milliseconds or microseconds by its size
        return ts

    @property
    def full(self) -> bool:
        """Whether what was taken is enough for a piece."""
        return self._weight >= PIECE_BYTES or len(self._events) + len(self._faults) >= PIECE_ITEMS

    def take(self) -> base.Parsed:
        """Return the piece that was taken, and begin another."""
        parsed = base.Parsed(self._events, self._faults)
        self._events, self._faults, self._weight = [], [], 0
        return parsed


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("utf-8", "replace")
