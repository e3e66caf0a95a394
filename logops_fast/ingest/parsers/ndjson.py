"""application/x-ndjson: one JSON object a line; a bad line spoils itself only."""

from __future__ import annotations

from logops_fast.formats.lines import is_blank, without_bom
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode, read_event, refuse_otlp


def parse(body: bytes) -> base.Parsed:
    """The events of an NDJSON body; blank lines are skipped and not counted.

    Each line is decoded by itself. Splicing the lines into one array is a tenth faster, but lines that are no JSON
    alone (``[1`` and ``2]``, or ``{},{}``) can conspire to make a good array, and checking that eats the gain.

    Raises:
        base.MalformedBody: ``empty``; ``otlp_not_supported`` where the first event is an OTLP export.
    """
    text = without_bom(body)
    if is_blank(text):
        raise base.empty_body()
    lines = text.removesuffix(b"\n").split(b"\n")
    try:
        events = list(map(decode, lines))
        if set(map(type, events)) == {dict}:
            check_writable(events)
            refuse_otlp(events[0])
            return base.Parsed(events, [])
    except UNREADABLE:
        pass  # a blank line, or a spoilt one: line by line
    return _parse_lines(lines)


def _parse_lines(lines: list[bytes]) -> base.Parsed:
    events = []
    faults = []
    for index, line in enumerate(line for line in lines if not is_blank(line)):
        event = read_event(line)
        if isinstance(event, str):
            faults.append(base.fault(index, event, line.removesuffix(b"\r")))
        else:
            events.append(event)
    if events:
        refuse_otlp(events[0])
    return base.Parsed(events, faults)
