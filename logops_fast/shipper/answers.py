"""What Loki's answer to a push means, and which times it takes. Pure.

Texts and codes are those of Loki 3.7: ``pkg/validation/validate.go``, ``pkg/distributor/distributor.go``,
``pkg/ingester/stream.go`` (``errorForFailedEntries``), ``pkg/chunkenc/interface.go``. A text that is not recognised
costs more questions and pushes, never an entry.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal, NamedTuple

from logops_fast.shipper.entries import Entry, timestamp_ns
from logops_fast.shipper.push_request import SECOND

LEARNED_FOR: Final = 600 * SECOND
"""How long a refused time is remembered: Loki's configuration may change."""
MAX_STREAMS: Final = 4096
LATEST: Final = (1 << 63) - 1 - SECOND
"""The latest time, in ns, that Loki can hold and be asked for: it counts in 64 bits, and what is later, after the year
2262, becomes another time there."""

TimeReason = Literal["too_old", "too_new", "too_far_behind"]


class Effect(Enum):
    """What is known about the entries of a push."""

    STORED = "stored"
    """All are in Loki."""
    REFUSED = "refused"
    """Some were refused; their neighbours are stored."""
    TOO_LARGE = "too_large"
    """The request is too large; none is stored."""
    LIMITED = "rate_limited"
    """None is stored: push again, later."""
    DENIED = "denied"
    """None is stored: Loki, or what is in front of it, does not let this shipper in."""
    IGNORED = "ignored"
    """An answer that is neither 204 nor an error, or that says ingestion is blocked: some or none may be stored."""
    UNREACHABLE = "unreachable"
    """None is stored: no byte of the request was sent."""
    UNKNOWN = "unknown"
    """Some or all may be stored."""


class Answer(NamedTuple):
    """The outcome of a push: ``text`` is Loki's own, ``retry_after`` seconds that it asks for, ``status`` 0 if none."""

    effect: Effect
    text: str = ""
    retry_after: float = 0.0
    status: int = 0

    @property
    def shown(self) -> str:
        """Status and text, for people."""
        return f"{self.status} {self.text}".strip() if self.status else self.text


def answer_of(status: int, text: str, retry_after: float = 0.0) -> Answer:
    """Return what an HTTP answer to a push means."""
    return Answer(_effect_of(status, text.lower()), text, retry_after, status)


def _effect_of(status: int, text: str) -> Effect:
    if status == 204:
        return Effect.STORED
    # `limits_config.block_ingestion_until`: nothing is stored, and the status is 260 (block_ingestion_status_code), or
    # 200 without a text. A login page and a collector that only queues answer 200 as well.
    if 200 <= status < 300 or "ingestion blocked" in text:
        return Effect.IGNORED
    if status == 429:
        # The distributor's own limit comes before anything is stored. A stream's limit, or that of streams, comes from
        # the ingester, which has stored the other streams and perhaps the first entries of this one.
        return Effect.LIMITED if text.startswith("ingestion rate limit exceeded") else Effect.UNKNOWN
    if status in (400, 422):
        return Effect.REFUSED
    if status == 413:
        return Effect.TOO_LARGE
    if status in (401, 403, 404, 405, 407) or 300 <= status < 400:
        return Effect.DENIED
    return Effect.UNKNOWN


_REASONS: Final = (
    # what the text has, in lower case (some begin with a capital before 3.7), and the reason as Loki's own metric
    # loki_discarded_samples_total names it
    ("max entry size", "line_too_long"),
    ("structured metadata too large", "structured_metadata_too_large"),
    ("too many structured metadata labels", "structured_metadata_too_many"),
    ("includes structured metadata, but this feature is disallowed", "disallowed_structured_metadata"),
    ("label names; limit", "max_label_names_per_series"),
    ("label name too long", "label_name_too_long"),
    ("label value too long", "label_value_too_long"),
    ("duplicate label name", "duplicate_label_names"),
    ("error parsing labels", "invalid_labels"),
    ("missing required labels", "missing_enforced_labels"),
    ("timestamp too old", "too_old"),
    ("timestamp too new", "too_new"),
    ("too far behind", "too_far_behind"),
    ("out of order", "too_far_behind"),
)


def reason_of(text: str) -> str:
    """Return why an entry that is alone in its push was refused, as a word of a fixed list."""
    return next(iter(_reasons_in(text)), "other")


def _reasons_in(text: str) -> list[str]:
    text = text.lower()
    return [reason for words, reason in _REASONS if words in text]


_FOR_TIME: Final = frozenset(("too_old", "too_new", "too_far_behind"))
_OF_ENTRIES: Final = _FOR_TIME | {
    "line_too_long", "structured_metadata_too_large", "structured_metadata_too_many", "label_value_too_long"
}  # fmt: skip
"""Reasons that one entry gives and another does not. All others concern every entry: Loki's configuration, or a server
that is not Loki."""


def only_for_time(text: str) -> bool:
    """Return whether a text refuses entries for their time, and for nothing else that is known."""
    reasons = set(_reasons_in(text))
    return bool(reasons) and reasons <= _FOR_TIME


def of_entries(text: str) -> bool:
    """Return whether a text refuses entries for what they are: it is Loki's, and other entries are taken."""
    return not _OF_ENTRIES.isdisjoint(_reasons_in(text))


_TOO_OLD: Final = re.compile(r"timestamp too old: \S+, oldest acceptable timestamp is: ([0-9TZ:.-]+)")
_TOO_NEW: Final = re.compile(r"timestamp too new: ([0-9TZ:.-]+)")
_BEHIND: Final = re.compile(
    r"entry too far behind, entry timestamp is: \S+, oldest acceptable timestamp is: ([0-9TZ:.-]+)"
)
_STREAM: Final = re.compile(r"for stream: (\{.*\})")
# Labels that Loki adds by itself: of stream sharding, and of `limits_config.discover_service_name` (by default).
_ADDED: Final = re.compile(
    r'(?:__stream_shard__|service_name)="(?:[^"\\]|\\.)*", |, (?:__stream_shard__|service_name)="(?:[^"\\]|\\.)*"'
)


class TimeLimits:
    """The times that Loki has refused, learned from its answers. Nanoseconds throughout; ``now`` is wall time.

    Loki writes times with whole seconds, so a limit may be a second off. Callers ask only about entries that were
    refused, or lose a second at the edge of an hour.
    """

    def __init__(self) -> None:
        self._age: tuple[int, int] | None = None  # the age from which on, and when it was learned
        self._lead: tuple[int, int] | None = None
        self._behind: dict[str, tuple[int, int]] = {}  # labels -> time before which, and when it was learned
        self._behind_unnamed: tuple[int, int] | None = None

    def learn(self, text: str, now: int) -> bool:
        """Read Loki's answer to a push; return whether it refused anything for its time."""
        found = False
        if (match := _TOO_OLD.search(text)) and (limit := timestamp_ns(match[1])) is not None:
            self._age, found = (now - limit - SECOND, now), True
        ahead = [ns for one in _TOO_NEW.findall(text) if (ns := timestamp_ns(one)) is not None]
        if ahead:
            self._lead, found = (max(min(ahead) - now, SECOND), now), True
        if (match := _BEHIND.search(text)) and (limit := timestamp_ns(match[1])) is not None:
            found = True
            stream = _STREAM.search(text)
            if stream is None:
                self._behind_unnamed = (limit + SECOND, now)
            else:
                if len(self._behind) >= MAX_STREAMS:
                    self._behind.clear()
                self._behind[_ADDED.sub("", stream[1])] = (limit + SECOND, now)
        return found

    def refuses(self, entry: Entry, now: int) -> TimeReason | None:
        """Return why Loki is expected to refuse an entry for its time, or None."""
        oldest = now - LEARNED_FOR
        if entry.retimed:
            return "too_far_behind" if entry.retimed < self.not_before(entry, now) else None
        if entry.ns > LATEST:
            return "too_new"
        if self._age is not None and self._age[1] >= oldest and entry.ns < now - self._age[0]:
            return "too_old"
        if self._lead is not None and self._lead[1] >= oldest and entry.ns >= now + self._lead[0]:
            return "too_new"
        return "too_far_behind" if entry.ns < self.not_before(entry, now) else None

    def not_before(self, entry: Entry, now: int) -> int:
        """Return the earliest time that the entry's stream takes, as far as is known; else 0."""
        if not self._behind and self._behind_unnamed is None:
            return 0
        behind = self._behind.get(entry.stream_labels, self._behind_unnamed)
        return behind[0] if behind is not None and behind[1] >= now - LEARNED_FOR else 0

    @property
    def latest(self) -> int:
        """The latest of the times before which streams take nothing: entries may have been given one after it."""
        return max((limit for limit, _ in (*self._behind.values(), self._behind_unnamed or (0, 0))), default=0)

    @property
    def known(self) -> bool:
        """Whether anything was learned so far."""
        return bool(self._age or self._lead or self._behind or self._behind_unnamed)
