"""A body of the syslog listener: messages of many senders, each read as a line of plain text is."""

from __future__ import annotations

from typing import Final

from logops_fast.formats.syslog_text import messages, parts_of
from logops_fast.ingest.parsers import base, plain
from logops_fast.ingest.parsers.base import Parsed, TextOptions

AUTH: Final = "auth"
NO_AUTH: Final = "none"
"""The ``auth`` of events whose source address is unproven: a UDP packet can carry any."""


def parse(body: bytes, now: float, options: TextOptions, *, unproven: bool) -> Parsed:
    """Return the events of a body; ``now`` in epoch seconds. Raises MalformedBody (``empty``) if there is none."""
    events = []
    for part in parts_of(body):
        reader = plain.Reader(now, options)
        found = messages(part)
        lines = plain.lines(part) if found is None else [one.decode("utf-8", "replace") for one in found]
        events += reader.read(lines)
        reader.finish()
    if not events:
        raise base.empty_body()
    return marked(Parsed(events, []), unproven)


def marked(parsed: Parsed, unproven: bool) -> Parsed:
    """Return the events, which say that no one has proved who sent them if ``unproven``."""
    if unproven:
        for event in parsed.events:
            event[AUTH] = NO_AUTH
    return parsed
