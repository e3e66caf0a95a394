"""text/plain: one event a line, of any of the known forms, mixed as they come."""

from __future__ import annotations

from typing import Any

from logops_fast.formats.lines import BLANKS, is_blank, without_bom
from logops_fast.ingest.parsers import base, logops_line, rfc3164, rfc5424, syslog
from logops_fast.ingest.parsers.level_word import level_word


def parse(body: bytes, now: float) -> base.Parsed:
    """The events of a plain text body: every line that is not blank is one, there are no faults.

    A line is RFC 5424, RFC 3164, the LogOps form, or else as a whole the message (less a syslog PRI). Bad UTF-8
    becomes U+FFFD.
    ``now`` (epoch seconds) settles the year of RFC 3164 timestamps.

    Raises:
        base.MalformedBody: ``empty``.
    """
    text = without_bom(body)
    if is_blank(text):
        raise base.empty_body()
    calendar = rfc3164.Calendar(now)
    lines = text.decode("utf-8", "replace").split("\n")
    return base.Parsed([_event(line.removesuffix("\r"), calendar) for line in lines if line.strip(BLANKS)], [])


def _event(line: str, calendar: rfc3164.Calendar) -> dict[str, Any]:
    event: dict[str, Any] | None = None
    first = line[0]
    # Each form shows in its first characters: most lines try one pattern.
    if first == "<":
        event = rfc5424.parse_line(line) or rfc3164.parse_line(line, calendar) or syslog.parse_bare(line)
    elif first.isdigit():
        event = logops_line.parse_line(line)
    elif line[:3] in rfc3164.MONTHS:
        event = rfc3164.parse_line(line, calendar)
    if event is None:
        event = {"msg": line}
    if "level" not in event:
        level = level_word(event["msg"])
        if level is not None:
            event["level"] = level
    return event
