"""RFC 3164 (BSD) syslog lines: ``<PRI>Mmm dd hh:mm:ss HOST TAG[PID]: MSG``, and what senders make of them."""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.ingest.parsers import cisco
from logops_fast.ingest.parsers.dates import MONTHS, Calendar
from logops_fast.ingest.parsers.syslog import PRIORITIES
from logops_fast.ingest.zones import ZONES

_PRI: Final = re.compile(r"<(\d{1,3})> {0,3}")
# Accepted beyond the RFC, because senders do: no PRI (as in /var/log/syslog), a day of one digit after one blank, a
# year before the month or around the clock, fractions of a second, a zone word or an offset, a year after it (the RFC's
# third example).
_TIME: Final = re.compile(
    r"(?:((?:19|20)\d\d) )?([A-Za-z]{3} (?: \d|\d{1,2}))(?: (\d{4}))? (\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*+)?"
    r"(?: ((?:19|20)\d\d)(?= ))?(?: ((?:GMT|UTC)[+-]\d{1,2}|[A-Z]{1,5}|[+-]\d\d:?\d\d)(?=:? ))?",
    re.ASCII,
)
# RFC 3339 after a PRI: RSYSLOG_ForwardFormat
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^\s:]*+(?::\d\d)?", re.ASCII)
_LAST_YEAR: Final = re.compile(r" ((?:19|20)\d\d)(?= )", re.ASCII)
_TAG: Final = re.compile(r"([^\s:\[\]]++)(?:\[([^\]\s]*+)\])?:(?= |\Z)")
# The usual form, in one step; what has more to it goes the long way.
_USUAL: Final = re.compile(
    r"(?:<(\d{1,3})>)?([A-Z][a-z]{2} [ \d]\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([^\s:]++) "
    r"([^\s:\[\]%]++)(?:\[([^\]\s]*+)\])?:(?: |\Z)(.*)",
    re.ASCII | re.DOTALL,
)
# A host that ends in a colon, with a tag after it: UniFi's has commas in it, others are addresses.
_COLON_HOST: Final = re.compile(
    r"((?=[^\s:]*,)[^\s:]++|\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}\]?):(?= )", re.ASCII
)
_BARE_TAG: Final = re.compile(r"([^\s:\[\]]+)\[(\d{1,10})\]")  # a tag that lacks its colon
# No host: an application's own line, whose time is written as syslog writes it.
_LEVEL_WORDS: Final = frozenset(("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"))
_WORD: Final = re.compile(r"\S++")
_REPEATED: Final = ("last message repeated ", "--- last message repeated ", "message repeated ")


def parse_line(line: str, calendar: Calendar) -> dict[str, Any] | None:
    """Return the event of one line, or None if it is not of this form.

    A day or time that does not exist is kept as it is written. Without PRI there is no level and no facility.
    """
    event: dict[str, Any] = {}
    usual = _USUAL.match(line)
    if usual is not None:
        pri, day, clock, fraction, host, tag, pid, msg = usual.groups()
        ts = calendar.timestamp(day, clock, fraction or "", "")
        if pri is None and (host in _LEVEL_WORDS or host[0] == "["):
            return None
        if ts is not None and not tag.isdigit() and host not in ZONES and not (len(host) == 4 and host.isdigit()):
            if pri is not None:
                known = PRIORITIES.get(pri)
                if known is None:
                    return None
                event["level"], event["facility"] = known
            event["ts"] = ts
            event["host"] = host
            event["app"] = tag
            if pid:
                event["pid"] = pid
            event["msg"] = msg
            return event
    start = 0
    if line.startswith("<"):
        found = _PRI.match(line)
        priority = PRIORITIES.get(found[1]) if found else None
        if found is None or priority is None:
            return None
        event["level"], event["facility"] = priority
        start = found.end()
    time = _TIME.match(line, start)
    if time is None:
        return _parse_iso(line, start, event) if start else None
    first_year, day, year, clock, fraction, later_year, zone = time.groups()
    end = time.end()
    if not start and (
        day[:3] not in MONTHS or (zone or line[end + 1 : end + 12].partition(" ")[0].strip("[]")) in _LEVEL_WORDS
    ):
        return None
    if zone is not None and zone[0] not in "+-":
        if zone[3:4] in ("+", "-"):  # GMT+1
            zone = f"{zone[3]}{zone[4:]:0>2}:00"
        elif zone not in ZONES:
            zone, end = None, time.start(7) - 1
    year = year or later_year or first_year
    if zone is not None and year is None:
        last_year = _LAST_YEAR.match(line, end)
        if last_year is not None:
            year, end = last_year[1], last_year.end()
    if line[end : end + 1] not in (" ", ":"):
        return None
    ts = calendar.timestamp(f"{day} {year}" if year else day, clock, fraction or "", zone or "")
    event["ts"] = line[start:end] if ts is None else ts
    return _parse_rest(line, end, event, calendar)


def _parse_iso(line: str, start: int, event: dict[str, Any]) -> dict[str, Any] | None:
    time = _ISO.match(line, start)
    if time is None or not line.startswith(" ", time.end()):
        return None
    event["ts"] = time[0]
    return _parse_rest(line, time.end(), event, None)


def _parse_rest(line: str, position: int, event: dict[str, Any], calendar: Calendar | None) -> dict[str, Any] | None:
    """Add what follows the time: host, tag, message. ``position`` is that of the blank or colon after the time."""
    if line.startswith(":", position):  # Cisco ASA without a device id
        position += 1
    elif line.startswith(" :", position):
        position += 2
    else:
        position = _host(line, position + 1, event)
        if position < 0:
            return None
    if line.startswith(" : ", position):  # a colon of its own after the host (Cisco ASA)
        position += 2
    if line.startswith(" ", position):
        position += 1
    tag = _TAG.match(line, position)
    if tag is None:
        event["msg"] = line[position:]
        return event
    if calendar is not None and tag[1].isdigit() and not tag[2]:  # a relay in front of Cisco IOS
        message = cisco.parse_line(line, position, calendar)
        if message is not None:
            return {**message, **event}
    if "level" not in event:
        severity = cisco.severity_of(tag[1])
        if severity is not None:
            event["level"] = severity
    event["app"] = tag[1]
    if tag[2]:
        event["pid"] = tag[2]
    position = tag.end()
    event["msg"] = line[position + 1 :] if line.startswith(" ", position) else line[position:]
    return event


def _host(line: str, position: int, event: dict[str, Any]) -> int:
    """Add the host, unless a tag comes first. Return the index after it, or -1 if nothing follows the time."""
    word = _WORD.match(line, position)
    if word is None:
        return -1
    if line.startswith(_REPEATED, position):
        return position - 1
    if word[0].endswith(":"):
        host = _COLON_HOST.match(line, position)
        if host is not None:
            event["host"] = host[1].strip("[]")
            return host.end()
        if line.startswith(" %", word.end()) and cisco.begins(line, word.end() + 1):  # Cisco ASA's device id
            event["host"] = word[0][:-1]
            return word.end()
        if _TAG.match(line, position) is not None:
            return position - 1
    bare = _BARE_TAG.fullmatch(word[0])
    if bare is not None:
        event["app"], event["pid"] = bare.groups()
    else:
        event["host"] = word[0]
    return word.end()
