"""What every parser returns: events, and faults for the items that could not be read."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any, Final, NamedTuple

from logops_fast.errors import LogOpsError
from logops_fast.http.refusal import Reason

TEXT_LIMIT: Final = 65536  # bytes of UTF-8 kept of an item that could not be read

# Reasons of faults (contract 2, `errors`).
NOT_AN_OBJECT: Final = "not_an_object"  # JSON, but not an object
BAD_JSON: Final = "bad_json"  # a line, or an object of a sequence, that is not JSON
BAD_UTF8: Final = "bad_utf8"  # JSON whose strings are not UTF-8
TOO_DEEP: Final = "too_deep"  # nests deeper than can be stored
BAD_CSV: Final = "bad_csv"  # a quote opens and never closes: everything from its row on
EVENT_TOO_LARGE: Final = "event_too_large"  # over backpressure.max_event_bytes, as sent or as stored
BAD_ENTRY: Final = "bad_entry"  # an entry of a Loki stream that is not [time, line] or [time, line, metadata]
BAD_LABELS: Final = "bad_labels"  # an entry of a Loki stream whose labels are not of Loki's form, or too many
BAD_RECORD: Final = "bad_record"  # a log record of OTLP's JSON in which a member is not of its type
UNSUPPORTED_BULK_ACTION: Final = "unsupported_bulk_action"  # an update or delete of Elasticsearch's _bulk
MISSING_DOCUMENT: Final = "missing_document"  # an action line of _bulk that is the last line

# Reasons to refuse a whole body.
EMPTY: Final[Reason] = "empty"
MALFORMED: Final[Reason] = "malformed"
OTLP_NOT_SUPPORTED: Final[Reason] = "otlp_not_supported"
UNSUPPORTED_ENVELOPE: Final[Reason] = "unsupported_envelope"
TOO_MANY_ITEMS: Final[Reason] = "too_many_items"
TOO_LARGE: Final[Reason] = "too_large"


class Limits(NamedTuple):
    """What one batch may hold: bytes of one event as sent and as stored, events, and bytes of all events as stored.

    The last is for formats in which many events share what is in each of their lines.
    """

    max_event_bytes: int = 262_144
    max_items: int = 100_000
    max_stored_bytes: int = 67_108_864


class Fault(NamedTuple):
    """One item that could not be read: its 0-based place in the batch, why, and its text as sent (bounded)."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nothing calls on a fault
    reason: str
    text: str


class TextOptions(NamedTuple):
    """How plain text of one emitter is read: the zone of times without one, whether continuation lines are joined."""

    zone: tzinfo = UTC
    multiline: bool = False


class Inherited(NamedTuple):
    """A ``ts`` or ``level`` that an event takes over from the line before it: stored, and counted as missing."""

    value: Any


class Parsed(NamedTuple):
    """A batch, or a piece of one. Events are fresh dicts in the order sent: the next stage may change them.

    orjson can write them as one list; a further list around it may pass the 254 levels that it writes.
    """

    events: list[dict[str, Any]]
    faults: list[Fault]


class MalformedBody(LogOpsError):  # noqa: N818 - it says what the body is
    """A body that is refused as a whole: ``reason`` of the fixed vocabulary, ``detail`` one sentence.

    The sentence never holds text of the body.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def empty_body() -> MalformedBody:
    """Return the refusal of a body that holds nothing."""
    return MalformedBody(EMPTY, "The body is empty; send at least one event.")


def too_many_items(limit: int) -> MalformedBody:
    """Return the refusal of a body of more than ``limit`` events."""
    return MalformedBody(TOO_MANY_ITEMS, f"The batch holds over {limit} events, the most that one may hold: split it.")


def too_large_as_lines(limit: int) -> MalformedBody:
    """Return the refusal of a body whose lines would take over ``limit`` bytes."""
    return MalformedBody(
        TOO_LARGE,
        f"With what they share repeated in each line, the events take over {limit} bytes: send fewer at once.",
    )


def fault(index: int, reason: str, text: bytes | str) -> Fault:
    """Return a fault that keeps at most TEXT_LIMIT bytes of the item, decoded with replacement."""
    raw = text if isinstance(text, bytes) else text[:TEXT_LIMIT].encode()
    kept = raw[:TEXT_LIMIT].decode("utf-8", "replace")
    # Each bad byte became U+FFFD, three bytes long: cut again, and drop the character that the cut went through.
    return Fault(index, reason, kept.encode()[:TEXT_LIMIT].decode("utf-8", "ignore"))


def joined(parsed: Parsed, more: Parsed) -> Parsed:
    """Return both together; the faults of ``more``, which nearly always is empty, count on from ``parsed``."""
    if not more.events and not more.faults:
        return parsed
    before = len(parsed.events) + len(parsed.faults)
    moved = [one._replace(index=one.index + before) for one in more.faults]
    return Parsed([*parsed.events, *more.events], [*parsed.faults, *moved])


NOT_FOUND: Final = Inherited(None)
"""For a ``level`` that the parser searched the text for: the normaliser does not search it once more."""
