"""What Loki does with a push and a query, as its source has it, without I/O: the rules that decide what arrives once.

Written from Loki 3.7.8; each rule names the file and the function it comes from. What has no part in the question which
entries are kept, refused or found (chunks on disk, compression, replication, rulers) is left out.
"""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left, insort_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from tests.loki.wire import Pushed

SECOND = 10**9
HOUR = 3600 * SECOND
SHARD_LABEL = "__stream_shard__"
_HALF = 1 << 63
_NS = attrgetter("ns")


@dataclass(frozen=True)
class Limits:
    """Of the configuration what matters here, with Loki's defaults. Times in ns, rates in bytes a second."""

    reject_old_samples_max_age: int = 168 * HOUR  # pkg/validation/limits.go, RegisterFlags
    creation_grace_period: int = 600 * SECOND
    max_line_size: int = 256 << 10
    max_structured_metadata_size: int = 64 << 10
    max_structured_metadata_count: int = 128
    max_label_names_per_series: int = 15
    max_streams: int = 5000
    max_chunk_age: int = 2 * HOUR  # pkg/ingester/ingester.go, RegisterFlags
    block_size: int = 256 << 10
    max_returned_errors: int = 10
    ingestion_rate: float = 0.0
    """0: not limited."""
    per_stream_rate: float = 0.0
    max_entries_per_query: int = 5000
    query_ingesters_within: int = 3 * HOUR  # pkg/querier/querier.go, RegisterFlags
    max_query_length: int = 721 * HOUR
    max_query_lookback: int = 0
    shards: int = 1
    """Streams are divided among so many shards, as stream sharding does when one is fast."""
    compare_metadata: bool = True
    """Whether equal means the same metadata too, as since 3.6; before, the same time and line."""


class Stored(NamedTuple):
    """An entry as a query returns it."""

    ns: int
    line: str
    metadata: tuple[tuple[str, str], ...]
    labels: str


@dataclass
class Stream:
    """One stream of an ingester: its entries, and what it knows to keep equal ones once."""

    labels: dict[str, str]
    highest: int = 0
    last: tuple[object, ...] = ()
    head: set[tuple[object, ...]] = field(default_factory=set)
    head_bytes: int = 0
    unflushed: list[Stored] = field(default_factory=list)
    """By time, as the flushed ones: a question is about seconds, of a stream that may hold hours."""
    flushed: list[Stored] = field(default_factory=list)
    tokens: float = 0.0
    refilled: int = 0

    @property
    def text(self) -> str:
        return labels_text(self.labels)


class Answer(NamedTuple):
    """Status and text of an HTTP answer."""

    status: int
    text: str = ""


class Store:
    """All streams of a tenant. ``wall`` returns nanoseconds since 1970."""

    def __init__(self, wall: Callable[[], int], limits: Limits | None = None) -> None:
        self.wall = wall
        self.limits = limits or Limits()
        self.streams: dict[str, Stream] = {}
        self.log: list[Stored] = []
        """Everything that is stored, in the order in which it came."""
        self.discarded: Counter[str] = Counter()
        """``loki_discarded_samples_total``, by reason."""
        self.deduplicated = 0
        self._last_shard: Counter[str] = Counter()
        self._tokens = 0.0
        self._refilled = 0

    def push(self, streams: Iterable[tuple[str, list[Pushed]]]) -> Answer:
        """pkg/distributor/distributor.go, PushWithResolver: store the entries that are valid, report the rest."""
        now = self.wall()
        errors: list[str] = []
        valid: list[tuple[dict[str, str], list[Pushed]]] = []
        given = list(streams)
        if not given:
            return Answer(422, "error at least one valid stream is required for ingestion")
        for text, entries in given:
            labels = parse_labels(text)
            if labels is None:
                errors.append(f"error parsing labels '{text}' with error: parse error")
                continue
            if not labels:
                errors.append("error at least one label pair is required per stream")
                continue
            if len(labels) > self.limits.max_label_names_per_series:
                allowed = self.limits.max_label_names_per_series
                errors.append(f"entry for stream '{text}' has {len(labels)} label names; limit {allowed}")
                self.discarded["max_label_names_per_series"] += len(entries)
                continue
            good = []
            for entry in entries:
                problem = self._problem(labels, entry, now)
                if problem is None:
                    good.append(entry)
                else:
                    errors.append(problem)
            if good:
                valid.append((labels, good))
        size = sum(_size(entry) for _, entries in valid for entry in entries)
        if valid and self.limits.ingestion_rate and not self._take(size, now):
            count = sum(len(entries) for _, entries in valid)
            return Answer(
                429,
                f"ingestion rate limit exceeded for user fake (limit: {int(self.limits.ingestion_rate)} bytes/sec) "
                f"while attempting to ingest '{count}' lines totaling '{size}' bytes, reduce log volume or contact "
                "your Loki administrator to see if the limit can be increased\n",
            )
        failed: Answer | None = None
        for labels, entries in valid:
            for sharded, part in self._shards(labels, entries):
                failed = self._ingest(sharded, part, now) or failed
        if failed is not None:
            return failed
        if errors:
            return Answer(400, _grouped(errors) + "\n")
        return Answer(204)

    def _problem(self, labels: Mapping[str, str], entry: Pushed, now: int) -> str | None:
        """pkg/distributor/validator.go, ValidateEntry; the texts are those of pkg/validation/validate.go."""
        limits, text = self.limits, labels_text(labels)
        oldest = now - limits.reject_old_samples_max_age
        ns = (entry.ns + _HALF) % (2 * _HALF) - _HALF  # Go's Time.UnixNano, after the year 2262
        if ns < oldest:
            self.discarded["greater_than_max_sample_age"] += 1
            return (
                f"entry for stream '{text}' has timestamp too old: {rfc3339(entry.ns)}, "
                f"oldest acceptable timestamp is: {rfc3339(oldest)}"
            )
        if ns > now + limits.creation_grace_period:
            self.discarded["too_far_in_future"] += 1
            return f"entry for stream '{text}' has timestamp too new: {rfc3339(entry.ns)}"
        length = len(entry.line.encode())
        if length > limits.max_line_size:
            self.discarded["line_too_long"] += 1
            return (
                f"max entry size '{limits.max_line_size}' bytes exceeded for stream '{text}' while adding an "
                f"entry with length '{length}' bytes"
            )
        size = sum(len(name.encode()) + len(value.encode()) for name, value in entry.metadata)
        if size > limits.max_structured_metadata_size:
            self.discarded["structured_metadata_too_large"] += 1
            return (
                f"stream '{text}' has structured metadata too large: '{size}' bytes, limit: "
                f"'{limits.max_structured_metadata_size}' bytes. Please see "
                "`limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it"
            )
        if len(entry.metadata) > limits.max_structured_metadata_count:
            self.discarded["structured_metadata_too_many"] += 1
            return (
                f"stream '{text}' has too many structured metadata labels: '{len(entry.metadata)}', limit: "
                f"'{limits.max_structured_metadata_count}'. Please see "
                "`limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase "
                "it"
            )
        return None

    def _take(self, size: int, now: int) -> bool:
        """A token bucket of one second's rate (golang.org/x/time/rate, with burst as the rate)."""
        rate = self.limits.ingestion_rate
        if self._refilled == 0:
            self._tokens = rate
        self._tokens = min(rate, self._tokens + (now - self._refilled) / SECOND * rate) if self._refilled else rate
        self._refilled = now
        if size > self._tokens:
            return False
        self._tokens -= size
        return True

    def _shards(self, labels: dict[str, str], entries: list[Pushed]) -> list[tuple[dict[str, str], list[Pushed]]]:
        """pkg/distributor/distributor.go, createShards and divideEntriesBetweenShards: the first shard rotates."""
        total = self.limits.shards
        if total <= 1:
            return [(labels, entries)]
        key = labels_text(labels)
        start, count = self._last_shard[key], min(total, len(entries))
        self._last_shard[key] = start + count
        return [({**labels, SHARD_LABEL: str((start + i) % total)}, entries[i::count]) for i in range(count)]

    def _ingest(self, labels: dict[str, str], entries: list[Pushed], now: int) -> Answer | None:
        """pkg/ingester/stream.go, Push: validateEntries, storeEntries, errorForFailedEntries."""
        text = labels_text(labels)
        stream = self.streams.get(text)
        if stream is None:
            if len(self.streams) >= self.limits.max_streams:  # pkg/ingester/instance.go, createStream
                self.discarded["stream_limit"] += len(entries)
                return Answer(
                    429,
                    f"maximum active stream limit exceeded when trying to create stream {text}, reduce the number "
                    "of active streams (reduce labels or reduce label values), or contact your Loki administrator to "
                    "see if the limit can be increased, user: 'fake'\n",
                )
            stream = self.streams[text] = Stream(dict(labels))
        failed: list[tuple[Pushed, str, int]] = []
        highest, last = stream.highest, stream.last
        to_store = []
        for entry in entries:
            if (identity := self._identity(entry)) == last:
                self.deduplicated += 1
                continue
            if self.limits.per_stream_rate and not self._stream_takes(stream, _size(entry), now):
                self.discarded["per_stream_rate_limit"] += 1
                failed.append(
                    (
                        entry,
                        f"Per stream rate limit exceeded (limit: 1KB/sec) while attempting to ingest for "
                        f"stream '{text}' totaling {_size(entry)}B, consider splitting a stream via additional "
                        "labels or contact your Loki administrator to see if the limit can be increased",
                        429,
                    )
                )
                continue
            cutoff = highest - self.limits.max_chunk_age // 2
            if highest and cutoff > entry.ns:
                self.discarded["too_far_behind"] += 1
                failed.append(
                    (
                        entry,
                        f"entry too far behind, entry timestamp is: {rfc3339(entry.ns)}, "
                        f"oldest acceptable timestamp is: {rfc3339(cutoff)}",
                        400,
                    )
                )
                continue
            last = identity
            highest = max(highest, entry.ns)
            to_store.append(entry)
        for entry in to_store:
            self._append(stream, entry)
        return self._failure(text, failed, len(entries))

    def _append(self, stream: Stream, entry: Pushed) -> None:
        """pkg/chunkenc/unordered.go and memchunk.go, Append: equal entries are kept once in the open block only."""
        identity = self._identity(entry)
        if identity in stream.head:
            self.deduplicated += 1
        else:
            stream.head.add(identity)
            stream.head_bytes += len(entry.line.encode()) + len(entry.metadata) * 8
            stored = Stored(entry.ns, entry.line, entry.metadata, stream.text)
            insort_right(stream.unflushed, stored, key=_NS)
            self.log.append(stored)
        stream.last = identity
        stream.highest = max(stream.highest, entry.ns)
        if stream.head_bytes >= self.limits.block_size:
            stream.head, stream.head_bytes = set(), 0

    def _failure(self, text: str, failed: list[tuple[Pushed, str, int]], total: int) -> Answer | None:
        if not failed:
            return None
        shown = failed[: self.limits.max_returned_errors] if self.limits.max_returned_errors else failed
        lines = [f"entry with timestamp {go_time(entry.ns)} ignored, reason: '{why}',\n" for entry, why, _ in shown]
        return Answer(
            failed[-1][2],
            "".join(lines) + f"user 'fake', total ignored: {len(failed)} out of {total} for stream: {text}\n",
        )

    def _stream_takes(self, stream: Stream, size: int, now: int) -> bool:
        rate = self.limits.per_stream_rate
        elapsed = (now - stream.refilled) / SECOND if stream.refilled else 1e9
        stream.tokens = min(rate, stream.tokens + elapsed * rate)
        stream.refilled = now
        if size > stream.tokens:
            return False
        stream.tokens -= size
        return True

    def _identity(self, entry: Pushed) -> tuple[object, ...]:
        if self.limits.compare_metadata:
            return entry.ns, entry.line, tuple(sorted(entry.metadata))
        return entry.ns, entry.line

    def flush(self) -> None:
        """What ``POST /flush`` does: chunks are written out and closed."""
        for stream in self.streams.values():
            stream.flushed = sorted([*stream.flushed, *stream.unflushed], key=_NS)
            stream.unflushed = []
            stream.head, stream.head_bytes = set(), 0

    def restart(self) -> None:
        """The write-ahead log is replayed: entries stay, in new blocks; limits and streams' clocks begin again."""
        for stream in self.streams.values():
            stream.head, stream.head_bytes, stream.last = set(), 0, ()

    def query(self, query: str, start: int, end: int, limit: int) -> list[Stored] | Answer:
        """``query_range``, forward: pkg/querier/http.go and querier.go, buildQueryIntervals."""
        now = self.wall()
        if limit > self.limits.max_entries_per_query:
            return Answer(
                400,
                "max entries limit per query exceeded, limit > max_entries_limit_per_query "
                f"({limit} > {self.limits.max_entries_per_query})",
            )
        if self.limits.max_query_length and end - start > self.limits.max_query_length:
            return Answer(400, "the query time range exceeds the limit (query length: too long, limit: 30d1h)")
        if self.limits.max_query_lookback:
            start = max(start, now - self.limits.max_query_lookback)
        if end >= _HALF:
            return Answer(400, "strconv.ParseInt: value out of range")  # pkg/loghttp/params.go, parseTimestamp
        matchers, conditions = parse_query(query)
        filters = [(name, condition(operator, value)) for name, operator, value in conditions]
        within = self.limits.query_ingesters_within
        ingesters = not within or end > now - within
        found = []
        for stream in self.streams.values():
            if not all(matches(stream.labels, *matcher) for matcher in matchers):
                continue
            for part in (stream.flushed, stream.unflushed if ingesters else ()):
                for entry in part[bisect_left(part, start, key=_NS) : bisect_left(part, end, key=_NS)]:
                    metadata = dict(entry.metadata) if filters else {}
                    if all(holds(metadata.get(name, stream.labels.get(name, ""))) for name, holds in filters):
                        found.append(entry)
        return sorted(found, key=_NS)[:limit]

    def entries(self) -> list[Stored]:
        """Everything that is stored."""
        return [*self.log]


_LABEL = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_FILTER = re.compile(r'\s*\|\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def unquote(text: str) -> str:
    """Go's strconv.Unquote, for the escapes that occur."""
    simple = {"n": "\n", "t": "\t", "r": "\r"}

    def character(match: re.Match[str]) -> str:
        one = match[1]
        return chr(int(one[1:], 16)) if one[0] in "uU" and len(one) > 1 else simple.get(one, one)

    return _ESCAPE.sub(character, text)


def parse_labels(text: str) -> dict[str, str] | None:
    """The labels of ``{a="b", c="d"}``, or None for what is no such text."""
    found = _matchers(text)
    return None if found is None else {name: value for name, _, value in found}


def _matchers(text: str) -> list[tuple[str, str, str]] | None:
    inner = text.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        return None
    inner, at, out = inner[1:-1].strip(), 0, []
    while at < len(inner):
        match = _LABEL.match(inner, at)
        if match is None:
            return None
        out.append((match[1], match[2], unquote(match[3])))
        at = match.end()
    return out


def parse_query(query: str) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """The matchers of a stream selector, and the label filters that follow it."""
    end = _selector_end(query)
    matchers = _matchers(query[:end])
    assert matchers is not None, query
    rest, at, filters = query[end:], 0, []
    while rest[at:].strip():
        match = _FILTER.match(rest, at)
        assert match is not None, rest[at:]
        filters.append((match[1], match[2], unquote(match[3])))
        at = match.end()
    return matchers, filters


def _selector_end(query: str) -> int:
    quoted = False
    for at, character in enumerate(query):
        if character == '"' and query[at - 1] != "\\":
            quoted = not quoted
        elif character == "}" and not quoted:
            return at + 1
    raise ValueError(query)


def matches(fields: Mapping[str, str], name: str, operator: str, value: str) -> bool:
    """Whether fields meet a matcher (Prometheus' labels.Matcher)."""
    return condition(operator, value)(fields.get(name, ""))


def condition(operator: str, value: str) -> Callable[[str], bool]:
    """Whether a text meets a matcher, asked of many texts; regular expressions are anchored."""
    if operator in ("=", "!="):
        return lambda text: (text == value) is (operator == "=")
    whole = re.compile(value, re.DOTALL).fullmatch
    return lambda text: (whole(text) is not None) is (operator == "=~")


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as Loki writes them (Prometheus' labels.Labels.String)."""
    inner = ", ".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in sorted(labels.items())
    )
    return "{" + inner + "}"


def rfc3339(ns: int) -> str:
    """Go's time.RFC3339 in UTC: whole seconds."""
    return dt.datetime.fromtimestamp(ns // SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def go_time(ns: int) -> str:
    """Go's Time.String in UTC."""
    whole = dt.datetime.fromtimestamp(ns // SECOND, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    fraction = f".{ns % SECOND:09d}".rstrip("0").rstrip(".")
    return f"{whole}{fraction} +0000 UTC"


def _size(entry: Pushed) -> int:
    """pkg/util/entry_size.go, EntryTotalSize: line and metadata."""
    return len(entry.line.encode()) + sum(len(name.encode()) + len(value.encode()) for name, value in entry.metadata)


def _grouped(errors: list[str]) -> str:
    """pkg/util/errors.go, GroupedErrors: equal texts once, with their count."""
    counted = Counter(errors)
    several = len(counted) > 1
    return "; ".join(f"{n} errors like: {text}" if several or n > 1 else text for text, n in counted.items())
