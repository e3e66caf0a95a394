"""application/json: one object, or an array of objects."""

from __future__ import annotations

from logops_fast.formats import json_text
from logops_fast.formats.lines import is_blank, without_bom
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode, read_event, refuse_otlp


def parse(body: bytes) -> base.Parsed:
    """The events of a JSON body. What is no object, or spoilt inside, is a fault of its own.

    Raises:
        base.MalformedBody: ``empty``; ``malformed`` where the text is not one JSON value (the detail says where);
            ``otlp_not_supported`` where the first event is an OTLP export.
    """
    text = without_bom(body)
    if is_blank(text):
        raise base.empty_body()
    try:
        value = decode(text)
        events = value if type(value) is list else [value]
        if set(map(type, events)) <= {dict}:
            check_writable(events)
            if events:
                refuse_otlp(events[0])
            return base.Parsed(events, [])
    except UNREADABLE:
        pass  # spoilt somewhere: item by item
    return _parse_items(body)


def _parse_items(body: bytes) -> base.Parsed:
    try:
        items = json_text.items(body)
    except json_text.BrokenJsonError as broken:
        raise base.MalformedBody(base.MALFORMED, f"The body is not valid JSON: {broken}.") from None
    events = []
    faults = []
    for index, item in enumerate(items):
        event = read_event(item)
        if isinstance(event, str):
            faults.append(base.fault(index, event, item))
        else:
            events.append(event)
    if events:
        refuse_otlp(events[0])
    return base.Parsed(events, faults)
