"""Envelopes of other systems: wrappers around events that are unwrapped, or refused by name (contract 4).

An envelope is recognised by its exact shape, in the first event of a body: an event of one's own that has a member
called ``logs`` or ``event`` beside others stays what it is. Ordinary batches pay one set operation on the keys of their
first event.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from logops_fast.ingest.parsers import base, otlp_json
from logops_fast.ingest.parsers.loki_entries import EntryReader
from logops_fast.ingest.parsers.loki_labels import MAX_LABELS_BYTES
from logops_fast.ingest.parsers.members import add_members, text_of

_OTLP_KEYS: Final = ("resourceLogs", "resource_logs")
_OTLP_OTHERS: Final = ("resourceSpans", "resource_spans", "resourceMetrics", "resource_metrics")
_ACTIONS: Final = frozenset(("index", "create", "update", "delete"))
_LIST_KEYS: Final = ("events", "logs", "records")
_HEC_KEYS: Final = frozenset(("event", "time", "host", "source", "sourcetype", "index", "fields"))
_ACTION_KEYS: Final = frozenset(
    ("pipeline", "routing", "require_alias", "dynamic_templates", "list_executed_pipelines", "version", "version_type")
)
_FIREHOSE_KEYS: Final = frozenset(("requestId", "timestamp", "records"))
_NEW_RELIC_KEYS: Final = frozenset(("common", "logs"))
_CLOUDWATCH_KEYS: Final = ("owner", "logGroup", "logStream")

TELLTALE_KEYS: Final = frozenset(
    (*_OTLP_KEYS, *_OTLP_OTHERS, *_ACTIONS, *_LIST_KEYS, "event", "streams", "logEvents", "common"),
)
"""Every envelope has one of these among its first event's keys."""

BULK: Final = "bulk"
WRAPPED: Final = "wrapped"

Unwrapped = dict[str, Any] | tuple[str, Any]
"""An event, or the reason why a part of an envelope is none and that part."""


def kind_of(first: dict[str, Any], second: Any = None) -> str:
    """Return BULK, WRAPPED, or "" if the first event of a body (and its second item, for BULK) is no envelope.

    Raises base.MalformedBody: ``otlp_not_supported`` or ``unsupported_envelope``.
    """
    for key in _OTLP_OTHERS:
        if type(first.get(key)) is list:
            raise base.MalformedBody(
                base.OTLP_NOT_SUPPORTED,
                "The body is an OTLP export of traces or metrics; this gateway takes OTLP's logs alone.",
            )
    if type(first.get("logs")) is list and first.keys() == _NEW_RELIC_KEYS:
        raise _unsupported("a New Relic log payload")
    if type(first.get("records")) is list and first.keys() == _FIREHOSE_KEYS:
        raise _unsupported("an Amazon Data Firehose request")
    if _is_otlp(first):
        return WRAPPED
    action = action_of(first)
    if action and (second is not None or action == "delete"):
        return BULK
    return WRAPPED if _parts(first) is not None else ""


def may_be_envelope(keys: Collection[str]) -> bool:
    """Return whether ``kind_of`` may find that a first event with these keys is an envelope, whatever is under them."""
    names = set(keys)
    return (
        not names.isdisjoint((*_OTLP_KEYS, *_OTLP_OTHERS))
        or names in (_NEW_RELIC_KEYS, _FIREHOSE_KEYS)
        or (len(names) == 1 and not names.isdisjoint((*_ACTIONS, *_LIST_KEYS, "streams")))
        or ("event" in names and names <= _HEC_KEYS)
        or "logEvents" in names
    )


def _unsupported(name: str) -> base.MalformedBody:
    return base.MalformedBody(
        base.UNSUPPORTED_ENVELOPE,
        f"The body is {name}, which is not unwrapped; send the events themselves as JSON or NDJSON.",
    )


def unwrap(event: dict[str, Any], entries: EntryReader) -> list[Unwrapped]:
    """Return the events that an event of a WRAPPED body holds; itself if it is no envelope.

    ``entries`` reads the Loki streams of the whole body. Raises base.MalformedBody: ``too_large``, by their labels.
    """
    parts = _parts(event, entries)
    return [event] if parts is None else parts


def wrapper_key(head: dict[str, Any]) -> str:
    """Return the key whose list holds the events of an envelope that has been cut off right after ``[``, or ""."""
    for key in (*_LIST_KEYS, "logEvents", "streams"):
        if head.get(key) == [] and _parts(head) == []:
            return key
    return ""


def _parts(event: dict[str, Any], entries: EntryReader | None = None) -> list[Unwrapped] | None:
    """Return what an envelope holds, or None if the event is no envelope; of Loki streams nothing without a reader."""
    if _is_otlp(event):
        return otlp_json.unwrap(event)
    if len(event) == 1:
        for key in _LIST_KEYS:
            held = event.get(key)
            if type(held) is list and all(type(one) is dict for one in held):
                return held
        streams = event.get("streams")
        if type(streams) is list and all(_is_stream(one) for one in streams):
            return [] if entries is None else _loki_entries(streams, entries)
    if "event" in event and event.keys() <= _HEC_KEYS:
        return [_hec_event(event)]
    held = event.get("logEvents")
    if type(held) is list and event.get("messageType") == "DATA_MESSAGE":
        return _cloudwatch_events(event, held)
    return None


def _is_otlp(event: dict[str, Any]) -> bool:
    return any(type(event.get(key)) is list for key in _OTLP_KEYS)


def _is_stream(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() == {"stream", "values"}
        and type(value["stream"]) is dict
        and type(value["values"]) is list
    )


def _loki_entries(streams: list[dict[str, Any]], reader: EntryReader) -> list[Unwrapped]:
    for stream in streams:
        labels = stream["stream"]
        size = len(text_of(labels))
        reader.begin(labels if size <= MAX_LABELS_BYTES else None, size)
        for entry in stream["values"]:
            reader.add_json(entry)
    parsed = reader.take()
    found: list[Unwrapped] = []
    taken = 0
    for fault in parsed.faults:
        before = fault.index - len(found)
        found += parsed.events[taken : taken + before]
        taken += before
        found.append((fault.reason, fault.text.encode()))
    found += parsed.events[taken:]
    return found


def _hec_event(event: dict[str, Any]) -> dict[str, Any]:
    held = event["event"]
    unwrapped: dict[str, Any] = dict(held) if type(held) is dict else {"msg": held}
    kept: dict[str, Any] = {name: event[name] for name in ("host", "sourcetype", "index") if name in event}
    if "time" in event:
        # The indexer's time is the event's; a `ts` of the event's own is more exact, and then both are kept.
        kept["time" if "ts" in unwrapped else "ts"] = event["time"]
    if "source" in event:
        kept["source_raw"] = event["source"]
    fields = event.get("fields")
    if type(fields) is dict:
        kept |= {name: value for name, value in fields.items() if name not in kept}
    elif fields is not None:
        kept["fields"] = fields
    add_members(unwrapped, kept)
    return unwrapped


def _cloudwatch_events(event: dict[str, Any], held: list[Any]) -> list[Unwrapped]:
    kept: dict[str, Any] = {name: event[name] for name in _CLOUDWATCH_KEYS if name in event}
    found: list[Unwrapped] = []
    for one in held:
        if type(one) is dict:
            add_members(one, kept)
            found.append(one)
        else:
            found.append((base.NOT_AN_OBJECT, one))
    return found


def action_of(event: dict[str, Any]) -> str:
    """Return the action of Elasticsearch's ``_bulk`` if the event is an action line, else ""."""
    if len(event) != 1:
        return ""
    for action, meta in event.items():
        if action in _ACTIONS and type(meta) is dict:
            known = all(key.startswith(("_", "if_")) or key in _ACTION_KEYS for key in meta)
            if known and (meta or action in ("index", "create")):
                return action
    return ""


class BulkLines:
    """Pairs of an action line and a document, across the pieces of a body."""

    __slots__ = ("_action", "_line")

    def __init__(self) -> None:
        self._action = ""
        self._line: dict[str, Any] = {}

    def take(self, item: dict[str, Any] | tuple[str, Any]) -> Unwrapped | None:
        """Take the next line, or the fault that it is; returns an event or a fault, None if it only was an action."""
        action, self._action = self._action, ""
        if action == "update":
            return base.UNSUPPORTED_BULK_ACTION, item if isinstance(item, dict) else item[1]
        if action or isinstance(item, tuple):
            return item
        action = action_of(item)
        if action == "delete":
            return base.UNSUPPORTED_BULK_ACTION, item
        if action:
            self._action, self._line = action, item
            return None
        return item

    def finish(self) -> tuple[str, Any] | None:
        """Return the fault that an action line without a document is, once all lines are taken."""
        action, self._action = self._action, ""
        return (base.MISSING_DOCUMENT, self._line) if action else None


def collect(parts: Sequence[Unwrapped], first: int = 0) -> base.Parsed:
    """Return events and faults of parts in order; indexes of faults count from ``first``."""
    events: list[dict[str, Any]] = []
    faults: list[base.Fault] = []
    for index, part in enumerate(parts, first):
        if isinstance(part, tuple):
            faults.append(base.fault(index, part[0], text_of(part[1])))
        else:
            events.append(part)
    return base.Parsed(events, faults)
