"""What every parser gives back: events, and faults for the items that could not be read."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

TEXT_LIMIT: Final = 65536  # bytes of UTF-8 kept of an item that could not be read

# Reasons of faults (SPEC 2, `errors`).
NOT_AN_OBJECT: Final = "not_an_object"  # JSON, but not an object
BAD_JSON: Final = "bad_json"  # an NDJSON line that is not JSON
BAD_UTF8: Final = "bad_utf8"  # JSON whose strings are not UTF-8
TOO_DEEP: Final = "too_deep"  # nests deeper than can be stored
BAD_CSV: Final = "bad_csv"  # a quote opens and never closes: everything from its row on

# Reasons to refuse a whole body.
EMPTY: Final = "empty"
MALFORMED: Final = "malformed"
OTLP_NOT_SUPPORTED: Final = "otlp_not_supported"


class Fault(NamedTuple):
    """One item that could not be read: its 0-based place in the batch, why, and its text as sent (bounded)."""

    index: int  # type: ignore[assignment]  # the field hides tuple.index, which nobody calls on a fault
    reason: str
    text: str


class Inherited(NamedTuple):
    """A ``ts`` or ``level`` that an event takes over from the line before it: stored, and counted as missing."""

    value: Any


class Parsed(NamedTuple):
    """A batch. Events are fresh dicts in the order sent: the next stage may change them.

    orjson can write them as one list; a further list around it may pass the 254 levels that it writes.
    """

    events: list[dict[str, Any]]
    faults: list[Fault]


class MalformedBody(Exception):  # noqa: N818 - it says what the body is
    """A body that is refused as a whole: ``reason`` of the fixed vocabulary, ``detail`` one sentence.

    The sentence never holds text of the body.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def empty_body() -> MalformedBody:
    """The refusal of a body in which nothing stands."""
    return MalformedBody(EMPTY, "The body is empty; send at least one event.")


def fault(index: int, reason: str, text: bytes | str) -> Fault:
    """A fault that keeps at most TEXT_LIMIT bytes of the item, decoded with replacement."""
    raw = text if isinstance(text, bytes) else text[:TEXT_LIMIT].encode()
    kept = raw[:TEXT_LIMIT].decode("utf-8", "replace")
    # Each bad byte became U+FFFD, three bytes long: cut again, and drop the character that the cut went through.
    return Fault(index, reason, kept.encode()[:TEXT_LIMIT].decode("utf-8", "ignore"))


NOT_FOUND: Final = Inherited(None)
"""For a ``level`` that the parser searched the text for: the normaliser does not search it once more."""
