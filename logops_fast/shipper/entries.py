"""From stored lines to entries: the stream, the time and the structured metadata of each. Pure.

Labels are bounded by configuration, whatever clients send: ``emitter``, ``level``, ``stream`` (by the file that the
line is in, never by a field of it), ``instance`` (machine and worker), and ``app`` only for names that
``ship.app_labels`` lists. Everything else that people filter by is structured metadata.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec.structs import astuple

from logops_fast.shipper.push_request import SECOND, label_pair, labels_text, pair_head, pair_of

Stream = Literal["events", "rejected"]

LEVELS: Final = frozenset(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
MAX_NAME: Final = 128  # characters of an emitter
UNKNOWN: Final = "unknown"
OTHER: Final = "other"
RETIMED: Final = "-retimed"
"""Ends the ``instance`` of entries that were given the time of shipping. They are a stream of their own: Loki refuses
what is an hour older than the newest entry of its stream, and that would be the rest of a backlog."""

MAX_VALUE_BYTES: Final = 4096
"""Longest value that becomes metadata; all of them together stay under Loki's 64 KiB. A longer one is in the line."""
MAX_REMEMBERED: Final = 16_384
"""Times and lines that are remembered, to tell equal ones apart."""
MAX_CACHED: Final = 4096  # seconds, and sets of words

_OURS: Final = ("ts", "level", "emitter")  # settled here, and never metadata
_FEW_VALUES: Final = frozenset(("source", "scenario_id", "host", "tenant", "reason"))
_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9})[0-9]*)?Z"
)


class Place(NamedTuple):
    """Where the lines of a file belong.

    ``stem`` is the file's name without its suffix (``20261126.w1``): the day and the worker of a ``seq``.
    """

    stream: Stream
    instance: str
    stem: str


class Labels(NamedTuple):
    """The labels of a stream as Loki writes them, and those of its entries that were given another time."""

    text: str
    retimed: str


class Entry:
    """One line on its way to Loki. ``offset`` and ``end`` are its bytes in the file, the newline included."""

    __slots__ = ("end", "labels", "line", "metadata", "ns", "offset", "retimed")

    def __init__(self, offset: int, end: int, line: bytes, labels: Labels, ns: int, metadata: bytes) -> None:
        self.offset = offset
        self.end = end
        self.line = line
        self.labels = labels
        self.ns = ns
        """Its time, in nanoseconds since 1970."""
        self.metadata = metadata
        """Its structured metadata, encoded."""
        self.retimed = 0
        """The time of shipping in nanoseconds, if it was given that; else 0."""

    def __repr__(self) -> str:
        return f"<Entry {self.stream_labels} {self.offset}..{self.end} at {self.time}>"

    @property
    def time(self) -> int:
        """The time that it is pushed with, in nanoseconds."""
        return self.retimed or self.ns

    @property
    def stream_labels(self) -> str:
        """The labels of the stream that it is pushed to."""
        return self.labels.retimed if self.retimed else self.labels.text


def seq_of(stem: str, offset: int) -> str:
    """Return the ``seq`` of a line: day, worker and offset, of a fixed width."""
    return f"{stem}.{offset:012d}"


def rfc3339_ns(ns: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 in UTC."""
    seconds, nanos = divmod(ns, SECOND)
    whole = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{nanos:09d}Z" if nanos else f"{whole}Z"


class _Common(NamedTuple):
    """What entries with the same words share: their labels and the first of their metadata, encoded."""

    labels: Labels
    metadata: bytes


class EntryMaker:
    """Makes entries of lines. It belongs to one thread.

    ``metadata`` names the members that become structured metadata, ``app_labels`` the applications that are a label.
    Emitters beyond ``max_emitters`` are labelled ``other``: a gateway knows its emitters, a file changed by hand does
    not.
    """

    def __init__(self, metadata: Sequence[str], app_labels: Collection[str] = (), max_emitters: int = 1000) -> None:
        self._app_labels = frozenset(app_labels)
        self._max_emitters = max_emitters
        names = [name for name in dict.fromkeys(metadata) if name not in (*_OURS, "app")]
        self._with_app = "app" in metadata
        # Few different values first: what follows from them all is looked up as one.
        self._few = [name for name in names if name in _FEW_VALUES]
        self._many = [(name, pair_head(name)) for name in names if name not in _FEW_VALUES]
        fields = [*_OURS, "app", *self._few, *(name for name, _ in self._many)]
        # Members of any name: the struct's own are f0, f1, ...
        line = msgspec.defstruct(
            "Line",
            [(f"f{at}", Any, None) for at in range(len(fields))],
            rename={f"f{at}": name for at, name in enumerate(fields)},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(line).decode
        self._split = len(_OURS) + 1 + len(self._few)
        self._none = (None,) * len(self._many)
        self._emitters: set[str] = set()
        self._common: dict[tuple[Any, ...], _Common] = {}
        self._place: Place | None = None
        self._seconds: dict[str, int] = {}
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()
        self.moved = 0
        """Entries moved on by nanoseconds so far, because their stream had the same line at the same time."""

    def make(self, place: Place, start: int, lines: Iterable[bytes], now: int) -> list[Entry]:
        """Return an entry for each line; the first begins at ``start``, and each is followed by one newline.

        ``now`` in nanoseconds is the time of lines without one; only another program's lines have none.
        """
        if place != self._place:
            self._place = place
            self._common.clear()
        out: list[Entry] = []
        seen, before = self._seen, self._seen_before
        seq_format = b"%b%%012d" % (place.stem + ".").encode()
        at = start
        for line in lines:
            end = at + len(line) + 1
            if line:
                if not line.isascii():
                    line = _valid(line)
                labels, ns, metadata = self._read(place, line, now)
                text = labels.text
                key = hash((text, ns, line))
                while key in seen or key in before:
                    ns += 1
                    self.moved += 1
                    key = hash((text, ns, line))
                seen.add(key)
                seq = seq_format % at
                size = len(seq)
                out.append(
                    Entry(at, end, line, labels, ns, b"%b\x1a%c\x0a\x03seq\x12%c%b" % (metadata, size + 7, size, seq))
                )
            at = end
        if len(seen) > MAX_REMEMBERED:
            self._seen_before, self._seen = seen, set()
        return out

    def _read(self, place: Place, line: bytes, now: int) -> tuple[Labels, int, bytes]:
        try:
            values = astuple(self._decode(line))
        except (msgspec.DecodeError, RecursionError):  # no JSON object: not a line of the gateway's
            return self._new_common(place, (UNKNOWN, None, None)).labels, now, b""
        split = self._split
        words = values[1:split]
        try:
            common = self._common.get(words)
            if common is None:
                common = self._common[words] = self._new_common(place, words)
        except TypeError:  # an object or an array among them
            common = self._new_common(place, words)
        ns = self._time(values[0])
        if ns is None:
            ns = now
        many = values[split:]
        if many == self._none:
            return common.labels, ns, common.metadata
        pairs = [common.metadata]
        for (_, head), value in zip(self._many, many, strict=True):
            if value is not None:
                pairs.append(_pair(head, value))
        return common.labels, ns, b"".join(pairs)

    def _new_common(self, place: Place, words: tuple[Any, ...]) -> _Common:
        level, emitter, app, *few = words
        if len(self._common) >= MAX_CACHED:
            self._common.clear()
        labelled = isinstance(app, str) and app in self._app_labels
        pairs = [_pair(pair_head("app"), app)] if self._with_app and app is not None and not labelled else []
        pairs += [
            _pair(pair_head(name), value) for name, value in zip(self._few, few, strict=False) if value is not None
        ]
        return _Common(self._labels(place, emitter, level, app if labelled else None), b"".join(pairs))

    def _labels(self, place: Place, emitter: Any, level: Any, app: str | None) -> Labels:
        if not isinstance(emitter, str):
            emitter = UNKNOWN
        if emitter not in self._emitters:
            if len(self._emitters) >= self._max_emitters or len(emitter) > MAX_NAME:
                emitter = OTHER
            else:
                self._emitters.add(emitter)
        pairs = [("emitter", emitter), ("stream", place.stream)]
        if place.stream == "events":  # a rejected line has no level
            pairs.append(("level", level if isinstance(level, str) and level in LEVELS else "INFO"))
        if app is not None:
            pairs.append(("app", app))
        return Labels(
            labels_text([*pairs, ("instance", place.instance)]),
            labels_text([*pairs, ("instance", place.instance + RETIMED)]),
        )

    def _time(self, ts: Any) -> int | None:
        """Return a settled ``ts`` (RFC 3339, UTC) in nanoseconds, or None if it is none."""
        if type(ts) is not str:
            return None
        second = self._seconds.get(ts[:19])  # most lines are of the same few
        if second is not None and ts[-1:] == "Z" and len(ts) <= 30:
            fraction = ts[20:-1]
            if len(ts) == 20 or (fraction.isdigit() and ts[19] == "." and fraction.isascii()):
                return second + (int(fraction) * _SCALE[len(fraction)] if fraction else 0)
        ns = timestamp_ns(ts)
        if ns is not None:
            if len(self._seconds) >= MAX_CACHED:
                self._seconds.clear()
            self._seconds[ts[:19]] = ns // SECOND * SECOND
        return ns


_SCALE: Final = tuple(10 ** (9 - digits) for digits in range(10))


def timestamp_ns(ts: str) -> int | None:
    """Return an RFC 3339 time in UTC in nanoseconds since 1970; None if it is none, or before 1970."""
    match = _RFC3339.fullmatch(ts)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        dt.date(year, month, day)
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    whole = calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)) * SECOND
    return whole + int((match[7] or "").ljust(9, "0")) if whole >= 0 else None


def retime(entry: Entry, ns: int) -> Entry:
    """Return the entry at the time of shipping, ``ns``, with its own as ``original_ts``."""
    metadata = entry.metadata if entry.retimed else entry.metadata + label_pair("original_ts", rfc3339_ns(entry.ns))
    made = Entry(entry.offset, entry.end, entry.line, entry.labels, entry.ns, metadata)
    made.retimed = ns
    return made


def _valid(line: bytes) -> bytes:
    """Return a line as UTF-8. Loki returns other bytes as something else, so that they would not be recognised."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("utf-8", "replace").encode()
    return line


def _pair(head: bytes, value: Any) -> bytes:
    """Return a pair of metadata; nothing for a value that is empty or too long."""
    data = (value if type(value) is str else _text(value)).encode("utf-8", "replace")
    return pair_of(head, data) if 0 < len(data) <= MAX_VALUE_BYTES else b""


def _text(value: Any) -> str:
    """Return a value of another type than text as the collectors write it; objects and arrays as JSON."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return msgspec.json.encode(value).decode()
