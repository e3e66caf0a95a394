"""Continuation lines: the further lines of one event, such as a stack trace."""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.formats.csv_text import LEVEL_NAMES, MSG_NAMES, TS_NAMES
from logops_fast.ingest.parsers.base import Inherited

_MORE: Final = re.compile(r"\.\.\. \d{1,6} (?:more|common frames omitted)", re.ASCII)


def continues(line: str) -> bool:
    """Return whether a line continues the one before it: it is indented, or part of a stack trace."""
    first = line[0]
    if first in " \t":
        return True
    if first == "C":
        return line.startswith("Caused by:")
    if first == "T":
        return line.startswith("Traceback")
    return first == "." and _MORE.match(line) is not None


def inherit(line: str, previous: dict[str, Any]) -> dict[str, Any]:
    """Return the event of a continuation line: the time and level of the event before, which count as missing."""
    event: dict[str, Any] = {}
    for settled, names in (("ts", TS_NAMES), ("level", LEVEL_NAMES)):
        for name in names:
            value = previous.get(name)
            if value is not None and value != "" and type(value) is not Inherited:
                event[settled] = Inherited(value)
                break
    event["msg"] = line
    return event


class Joiner:
    """Joins what belongs to one event (``parse.multiline``): continuation lines, and the parts of a CRI line.

    A message under construction is a list of parts; ``finish`` makes it text again. Time is linear in the parts.
    """

    __slots__ = ("_open", "_partial")

    def __init__(self) -> None:
        self._open: list[tuple[dict[str, Any], str, list[str]]] = []
        self._partial: dict[str, tuple[dict[str, Any], list[str]]] = {}

    def add_line(self, event: dict[str, Any], line: str) -> bool:
        """Append a line to the event's message. Return False if the event has no message that is text."""
        if self._open and self._open[-1][0] is event:
            self._open[-1][2].append("\n" + line)
            return True
        for name in MSG_NAMES:
            message = event.get(name)
            if isinstance(message, str):
                self._open.append((event, name, [message, "\n" + line]))
                return True
        return False

    def add_part(self, event: dict[str, Any]) -> bool:
        """Take a line of CRI. Return whether it was joined to an earlier part of the same stream (P ... F)."""
        stream = str(event["stream"])
        complete = str(event["logtag"])[0] == "F"
        started = self._partial.get(stream)
        if started is None:
            if not complete and "msg" in event:
                parts = [str(event["msg"])]
                self._partial[stream] = (event, parts)
                self._open.append((event, "msg", parts))
            return False
        first, parts = started
        if "msg" not in event:
            return False
        parts.append(str(event["msg"]))
        if complete:
            first["logtag"] = event["logtag"]
            del self._partial[stream]
        return True

    def settle(self, last: dict[str, Any] | None) -> set[int]:
        """Write the messages that no later line can add to; return the ids of the other events.

        ``last`` is the event that the next continuation line belongs to.
        """
        growing = {id(event) for event, _ in self._partial.values()}
        if last is not None:
            growing.add(id(last))
        still_open = []
        for entry in self._open:
            event, name, parts = entry
            if id(event) in growing:
                still_open.append(entry)
            else:
                event[name] = "".join(parts)
        self._open = still_open
        return growing

    def finish(self) -> None:
        """Write all joined messages into their events."""
        self._partial.clear()
        self.settle(None)
