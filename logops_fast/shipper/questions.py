"""The question to Loki which lines of a range it has: LogQL and the reading of its answer. Pure.

A push whose outcome is unknown (a crash, a time-out, a cut connection) is not simply pushed again: Loki keeps one of
two equal entries only while the first is in an open block of the same shard. Each entry carries its place as ``seq``,
so Loki is asked by that. An entry counts as found only if its line is the same too: a file that was truncated begins
again with the same places.

Sources: the HTTP API of Loki (``GET /loki/api/v1/query_range``), LogQL's label filters on structured metadata, and the
encoding flag ``categorize-labels`` (``pkg/util/httpreq``), which keeps metadata apart from labels in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from logops_fast.shipper.answers import LATEST
from logops_fast.shipper.entries import RETIMED, Entry, Place, seq_of
from logops_fast.shipper.push_request import SECOND, quoted

TARGET: Final = "/loki/api/v1/query_range"
MAX_SPAN: Final = 24 * 3600 * SECOND
"""Longest time of a question, under ``max_query_length`` and what Loki splits a query into."""
MAX_ANSWER_BYTES: Final = 4 << 20
"""Bytes of lines that one answer may hold; they come back as JSON, which may double them."""
MARGIN: Final = SECOND
"""Added at both ends: entries may have been moved on by nanoseconds."""
_DIGITS: Final = 12


class Question(NamedTuple):
    """One query: ``start`` and ``end`` are nanoseconds, the latter exclusive; ``seq`` identifies entries."""

    instances: tuple[str, ...]
    stream: str
    stem: str
    start: int
    end: int
    first: int
    last: int
    """Offsets of the first and the last line."""
    entries: tuple[Entry, ...]

    def target(self, limit: int) -> str:
        """Return the request target, for at most ``limit`` entries."""
        names = "|".join(_regex(name) for name in self.instances)
        stem = _regex(self.stem + ".")
        query = (
            f"{{instance=~{quoted(names)},stream={quoted(self.stream)}}}"
            f" | seq=~{quoted(stem + '(' + '|'.join(number_range(self.first, self.last)) + ')')}"
        )
        return f"{TARGET}?" + urlencode(
            {"query": query, "start": self.start, "end": self.end, "limit": limit, "direction": "forward"}
        )

    def halves(self) -> list[Question]:
        """Return two questions for the same entries, by offset; none if there is only one."""
        ordered = sorted(self.entries, key=lambda entry: entry.offset)
        middle = len(ordered) // 2
        parts = (ordered[:middle], ordered[middle:]) if middle else ()
        return [self._replace(first=p[0].offset, last=p[-1].offset, entries=tuple(p)) for p in parts]


def questions(
    place: Place, machines: Sequence[str], entries: Iterable[Entry], shipped: tuple[int, int] | None
) -> list[Question]:
    """Return the questions that cover ``entries``, each at the time it was pushed with.

    An entry later than any time of Loki's is never pushed with its own. ``machines`` are the machine names that the
    lines may have been shipped under. ``shipped`` is a range of times of
    shipping: entries of an earlier process may have been given one of those.
    """
    worker = place.instance.rpartition("-")[2]
    instances = tuple(f"{machine}-{worker}" for machine in machines)
    own: list[Entry] = []
    given: list[Entry] = []
    for entry in entries:
        (given if entry.retimed else own).append(entry)
    out = _grouped(place, instances, sorted((entry for entry in own if entry.ns <= LATEST), key=lambda entry: entry.ns))
    retimed = tuple(name + RETIMED for name in instances)
    if given:
        start, end = min(entry.retimed for entry in given), max(entry.retimed for entry in given)
        out += [_question(place, retimed, group, start, end) for group in _sized(given)]
    if shipped is not None:
        out += [_question(place, retimed, group, *shipped) for group in _sized(own)]
    return out


def _grouped(place: Place, instances: tuple[str, ...], entries: list[Entry]) -> list[Question]:
    out: list[Question] = []
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and (entry.ns - group[0].ns > MAX_SPAN or size > MAX_ANSWER_BYTES):
            out.append(_question(place, instances, group, group[0].ns, group[-1].ns))
            group, size = [], 0
        group.append(entry)
        size += len(entry.line)
    if group:
        out.append(_question(place, instances, group, group[0].ns, group[-1].ns))
    return out


def _sized(entries: list[Entry]) -> Iterable[list[Entry]]:
    group: list[Entry] = []
    size = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if size > MAX_ANSWER_BYTES:
            yield group
            group, size = [], 0
        group.append(entry)
        size += len(entry.line)
    if group:
        yield group


def _question(place: Place, instances: tuple[str, ...], group: Sequence[Entry], start: int, end: int) -> Question:
    offsets = [entry.offset for entry in group]
    return Question(
        instances,
        place.stream,
        place.stem,
        max(0, start - MARGIN),
        end + MARGIN,
        min(offsets),
        max(offsets),
        tuple(group),
    )


def number_range(first: int, last: int) -> list[str]:
    """Return regular expressions that together match just the numbers from ``first`` to ``last``, of 12 digits."""
    low, high = f"{first:0{_DIGITS}d}", f"{last:0{_DIGITS}d}"
    if first > last or len(high) > _DIGITS:
        raise ValueError(f"no range: {first} to {last}")
    return _range(low, high)


def _range(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    if low[0] == high[0]:
        return [low[0] + rest for rest in _range(low[1:], high[1:])]
    left = len(low) - 1
    out = []
    a, b = int(low[0]), int(high[0])
    if low[1:] != "0" * left:
        out += [low[0] + rest for rest in _range(low[1:], "9" * left)]
        a += 1
    upper = []
    if high[1:] != "9" * left:
        upper = [high[0] + rest for rest in _range("0" * left, high[1:])]
        b -= 1
    if a <= b:
        out.append((f"[{a}-{b}]" if a < b else str(a)) + (f"[0-9]{{{left}}}" if left else ""))
    return out + upper


def _regex(text: str) -> str:
    """Return a regular expression (RE2) for a text."""
    return "".join(
        c if c.isalnum() or c in "_-" else "\\" + c if c.isascii() and c.isprintable() else "." for c in text
    )


class _Stream(msgspec.Struct):
    stream: dict[str, str]
    values: list[list[msgspec.Raw]]


class _Categories(msgspec.Struct):
    structuredMetadata: dict[str, str] = {}  # noqa: N815


class _Data(msgspec.Struct):
    result: list[_Stream]


class _Body(msgspec.Struct):
    data: _Data
    status: str = ""


class Found(NamedTuple):
    """What an answer holds: the offsets of lines that Loki has, and the number of entries, which a limit may cut."""

    offsets: set[int]
    entries: int


def found_in(question: Question, body: bytes) -> Found:
    """Read the answer to a question. Raises ValueError if it is none."""
    try:
        result = msgspec.json.decode(body, type=_Body).data.result
        wanted = {seq_of(question.stem, entry.offset): entry for entry in question.entries}
        offsets: set[int] = set()
        count = 0
        for stream in result:
            for value in stream.values:
                count += 1
                line = msgspec.json.decode(value[1], type=str)
                seq = stream.stream.get("seq", "")
                if len(value) > 2:  # [time, line, {"structuredMetadata": {...}}]
                    seq = msgspec.json.decode(value[2], type=_Categories).structuredMetadata.get("seq", seq)
                entry = wanted.get(seq)
                if entry is not None and line.encode("utf-8", "replace") == entry.line:
                    offsets.add(entry.offset)
    except (msgspec.DecodeError, IndexError) as error:
        raise ValueError(f"Loki's answer to a query cannot be read: {error}") from None
    return Found(offsets, count)
