"""text/plain: one event a line, of any of the known forms, mixed as they come."""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.formats.lines import BLANKS, frames, is_blank, without_bom
from logops_fast.ingest.parsers import base, cisco, iso_lines, logops_line, rfc3164, rfc5424, syslog
from logops_fast.ingest.parsers.base import TextOptions
from logops_fast.ingest.parsers.continuation import Joiner, continues, inherit
from logops_fast.ingest.parsers.dates import MONTHS, Calendar
from logops_fast.ingest.parsers.level_word import find_level, level_after, without_colours
from logops_fast.ingest.parsers.line_time import find_time, scan, written

_COUNT: Final = re.compile(r"\d{1,6} (?=<\d{1,3}>)", re.ASCII)
_NODES: Final = frozenset(("RP/", "LC/", "SP/"))  # Cisco IOS XR
_MAY_CONTINUE: Final = frozenset(" \tCT.")
_HEAD: Final = 2048  # characters in which a time and a level are looked for


_DEFAULT: Final = TextOptions()


def parse(body: bytes, now: float, options: TextOptions = _DEFAULT) -> base.Parsed:
    """Return the events of a plain text body: every line that is not blank is one, there are no faults.

    ``now`` (epoch seconds) settles the year of dates that have none. Bad UTF-8 becomes U+FFFD.

    Raises MalformedBody (``empty``) if there is no line.
    """
    text = without_bom(body)
    if is_blank(text):
        raise base.empty_body()
    framed = frames(text)
    reader = Reader(now, options)
    events = reader.read(lines(text) if framed is None else [frame.decode("utf-8", "replace") for frame in framed])
    reader.finish()
    return base.Parsed(events, [])


def lines(text: bytes) -> list[str]:
    """Return the lines of a text, blank ones included. Bad UTF-8 becomes U+FFFD."""
    return text.decode("utf-8", "replace").split("\n")


class Reader:
    """Reads the lines of one body, all at once or some at a time."""

    __slots__ = ("_calendar", "_held", "_joiner", "_last")

    def __init__(self, now: float, options: TextOptions = _DEFAULT) -> None:
        self._calendar = Calendar(now, options.zone)
        self._joiner = Joiner() if options.multiline else None
        self._last: dict[str, Any] | None = None  # what a continuation line belongs to
        self._held: list[dict[str, Any]] = []  # events of earlier pieces that may still grow

    def read(self, sent_lines: list[str]) -> list[dict[str, Any]]:
        """Return the events of the lines that are not blank."""
        events: list[dict[str, Any]] = []
        calendar = self._calendar
        joiner = self._joiner
        for sent in sent_lines:
            first = sent[:1]
            if first <= " " and not sent.strip(BLANKS):
                continue
            line = sent[:-1] if sent[-1] == "\r" else sent
            if first in _MAY_CONTINUE and continues(line):
                last = self._last
                if last is not None and find_time(line.lstrip(" \t")[:_HEAD], calendar) is None:
                    if joiner is None or not joiner.add_line(last, line):
                        events.append(inherit(line, last))
                    continue
            event = event_of(line, calendar)
            if joiner is not None and "logtag" in event and joiner.add_part(event):
                continue
            events.append(event)
            self._last = event
        return events

    def read_piece(self, sent_lines: list[str]) -> list[dict[str, Any]]:
        """Return the events that are complete once these lines of a larger body have been read, in order.

        The caller may change them: what a later line needs of them is kept apart.
        """
        events = self.read(sent_lines)
        last = self._last
        if self._joiner is None:
            if last is not None:
                self._last = dict(last)
            return events
        events = self._held + events
        growing = self._joiner.settle(last)
        complete = next((at for at, event in enumerate(events) if id(event) in growing), len(events))
        self._held = events[complete:]
        return events[:complete]

    def finish(self) -> list[dict[str, Any]]:
        """Complete the events that were joined of several lines; return those that ``read_piece`` has kept back."""
        if self._joiner is not None:
            self._joiner.finish()
        held, self._held = self._held, []
        return held


def event_of(line: str, calendar: Calendar) -> dict[str, Any]:
    """Return the event of one line that is not blank."""
    event: dict[str, Any] | None = None
    first = line[0]
    # Each form shows in its first characters: most lines try one pattern.
    if first == "<":
        event = rfc5424.parse_line(line)
        if event is not None:
            return event  # which has its level
        event = _syslog(line, calendar)
    elif "0" <= first <= "9":
        if line[10:11] == " " and line[4] == "-":
            event = logops_line.parse_line(line) if "]:" in line else None
        else:
            event = _begins_with_digit(line, calendar)
    elif line[:3] in MONTHS and line[3:4] == " ":
        event = rfc3164.parse_line(line, calendar)
    elif first == "{":
        event = iso_lines.read_object(line)
        if event is not None:
            return event
    elif first in "*.%:" or (line[2:3] == "/" and line[:3] in _NODES):
        event = cisco.parse_line(line, 0, calendar)
    if event is None:
        return _plain(line, calendar)
    if "level" not in event and "msg" in event:
        event["level"] = find_level(event["msg"]) or base.NOT_FOUND
    return event


def _begins_with_digit(line: str, calendar: Calendar) -> dict[str, Any] | None:
    if line[10:11] == "T" and line[4] == "-":
        if " std" in line[19:40]:
            event = iso_lines.parse_cri(line)
            if event is not None:
                return event
        if ":" in line[20:]:
            event = iso_lines.parse_rsyslog(line)
            if event is not None:
                return event
        return logops_line.parse_line(line) if "]:" in line else None
    if "<" in line[2:8]:
        count = _COUNT.match(line)
        if count is not None:
            rest = line[count.end() :]
            return rfc5424.parse_line(rest) or rfc3164.parse_line(rest, calendar)
    elif ": " in line[:16] or (line[4:5] == " " and line[5:8] in MONTHS):
        return cisco.parse_line(line, 0, calendar)
    return None


def _syslog(line: str, calendar: Calendar) -> dict[str, Any] | None:
    """Return the event of a line with a priority that is not of RFC 5424."""
    event = rfc3164.parse_line(line, calendar)
    if event is not None:
        return event
    event = syslog.parse_bare(line)
    if event is None:
        return None
    message = cisco.parse_line(line, line.index(">") + 1, calendar)
    if message is not None:
        return {**message, **event, "msg": message["msg"]}
    ts = find_time(event["msg"][:_HEAD], calendar)
    if ts is not None:
        event["ts"] = ts
    return event


def _plain(line: str, calendar: Calendar) -> dict[str, Any]:
    """Return the event of a line of no known structure: the line as the message, its time and its level."""
    head = line if len(line) <= _HEAD else line[:_HEAD]
    coloured = "\x1b" in head
    if coloured and head[0] == "\x1b":
        head = without_colours(head)
        coloured = False
    indent = len(head) - len(head.lstrip(" \t")) if head[:1] in (" ", "\t") else 0
    found = scan(head, indent)
    event: dict[str, Any] = {}
    end = 0
    if found is not None:
        ts = written(found, calendar)
        if ts is not None:
            event["ts"] = ts
        end = found[4]
    event["msg"] = line
    if coloured:
        head = head[:end] + " " + without_colours(head[end:])
    event["level"] = level_after(head, end) or base.NOT_FOUND
    return event
