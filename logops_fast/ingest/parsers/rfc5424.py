"""RFC 5424 syslog lines: ``<PRI>1 TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA MSG``."""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.ingest.parsers import structured_data
from logops_fast.ingest.parsers.dates import MONTHS
from logops_fast.ingest.parsers.syslog import PRIORITIES

# Nothing can backtrack: fields are separated by what they cannot hold, repetitions are possessive.
_HEAD: Final = re.compile(r"<(\d{1,3})>\d{1,2} (\S++) (\S++) (\S++) (\S++) (\S++)(?: (-)(?= |\Z))? ?")
# Cisco Meraki sends seconds since 1970 and neither PROCID nor MSGID.
_SHORT: Final = 16384  # characters
_EPOCH_HEAD: Final = re.compile(r"<(\d{1,3})>\d{1,2} (\d{9,10}(?:\.\d{1,9})?) (\S++) (\S++) ?", re.ASCII)


def parse_line(line: str) -> dict[str, Any] | None:
    """Return the event of one line, or None if it is not of this form. ``-`` (nil) fields are left out.

    Structured data that does not fit the grammar stays in the message, so that a careless sender loses nothing. A "]"
    inside a value ought to be escaped (6.3.3); within quotes it is unambiguous, and taken.
    """
    found = _HEAD.match(line)
    if found is None:
        return _parse_epoch(line)
    pri, ts, host, app, pid, msgid, nil = found.groups()
    if ts[4:5] != "-":  # no date of RFC 3339
        if ts in MONTHS:  # "<34>11 Oct 2023 ...", and senders that put a version in front of RFC 3164
            return None
        if "0" <= ts[0] <= "9" and "-" not in ts:
            event = _parse_epoch(line)
            if event is not None:
                return event
    priority = PRIORITIES.get(pri)
    if priority is None:
        return None
    event = {"level": priority[0], "facility": priority[1]}
    if ts != "-":
        event["ts"] = ts
    if host != "-":
        event["host"] = host
    if app != "-":
        event["app"] = app
    if pid != "-":
        event["pid"] = pid
    if msgid != "-":
        event["msgid"] = msgid
    start = found.end()
    if nil is None and line[start - 1 : start + 1] == " [":
        end = -1
        # Of a long line that breaks off, nothing is built.
        if len(line) <= _SHORT or structured_data.find_end(line, start) > 0:
            elements, end = structured_data.read(line, start)
        if end > 0 and line[end : end + 1] in ("", " "):
            event["sd"] = elements
            start = end + 1
    event["msg"] = line[start:].removeprefix("\ufeff")  # 6.4: UTF-8 messages may begin with a byte order mark
    return event


def _parse_epoch(line: str) -> dict[str, Any] | None:
    found = _EPOCH_HEAD.match(line)
    priority = PRIORITIES.get(found[1]) if found else None
    if found is None or priority is None:
        return None
    event: dict[str, Any] = {"level": priority[0], "facility": priority[1], "ts": found[2]}
    if found[3] != "-":
        event["host"] = found[3]
    if found[4] != "-":
        event["app"] = found[4]
    event["msg"] = line[found.end() :]
    return event
