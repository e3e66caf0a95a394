"""RFC 3164 (BSD) syslog lines: ``<PRI>Mmm dd hh:mm:ss HOST TAG[PID]: MSG``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from logops_fast.ingest.parsers.syslog import PRIORITIES

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS: Final = {name: number for number, name in enumerate(_MONTHS, 1)}

# Accepted beyond the RFC, because senders do: no PRI (as in /var/log/syslog), a year and a lone ":" behind the host
# (Cisco ASA), fractions of a second,
# an RFC 3339 timestamp behind a PRI (rsyslog), a tag with "/" or ".". A tag is a tag only with its colon.
# A possessive group that fails half-way keeps what it took before CPython 3.11.5: the last optional one is a plain `?`.
_LINE: Final = re.compile(
    r"(?:<(\d{1,3})>)?+(?:([A-Z][a-z][a-z] [ \d]\d)(?: (\d{4}))? (\d\d:\d\d:\d\d)((?:\.\d++)?+)"
    r"|(?<=>)(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*+)) (\S++)(?: :(?= ))?+"
    r"(?: ([^\s:\[\]]++)(?:\[([^\]\s]*+)\])?+:(?= |\Z))? ?(.*)",
    re.DOTALL,
)


class Calendar:
    """Dates without a year, each settled once: the year in which it lies nearest to ``now`` (epoch seconds, UTC)."""

    __slots__ = ("_dates", "_now")

    def __init__(self, now: float) -> None:
        self._now = datetime.fromtimestamp(now, UTC)
        self._dates: dict[str, str] = {}

    def date(self, day: str, year: str | None) -> str:
        """``Mmm dd`` as ``YYYY-MM-DD``; "" where there is no such day."""
        key = day if year is None else f"{day} {year}"
        date = self._dates.get(key)
        if date is None:
            date = self._dates[key] = self._settle(day, year)
        return date

    def _settle(self, day: str, year: str | None) -> str:
        this = self._now.year
        candidates = []
        for candidate in (int(year),) if year else (this - 1, this, this + 1):
            try:
                candidates.append(datetime(candidate, MONTHS[day[:3]], int(day[4:]), 12, tzinfo=UTC))
            except (KeyError, ValueError):  # no such month; 30 February, or 29 in a common year
                continue
        if not candidates:
            return ""
        nearest = min(candidates, key=lambda moment: abs(moment - self._now))
        return nearest.strftime("%Y-%m-%d")


def parse_line(line: str, calendar: Calendar) -> dict[str, Any] | None:
    """The event of one line, or None where it is not of this form.

    The timestamp has no zone: it is taken as UTC. A day or time that does not exist is kept as it stands.
    Without PRI there is no level and no facility.
    """
    found = _LINE.match(line)
    if found is None:
        return None
    pri, day, year, clock, fraction, ts, host, tag, pid, msg = found.groups()
    event: dict[str, Any] = {}
    if pri is not None:
        priority = PRIORITIES.get(pri)
        if priority is None:
            return None
        event["level"], event["facility"] = priority
    if ts is None:
        date = calendar.date(day, year)
        exists = date and clock < "24" and clock[3:] < "60" and clock[6:] <= "60"
        ts = f"{date}T{clock}{fraction}Z" if exists else line[found.start(2) : found.end(5)]
    event["ts"] = ts
    event["host"] = host
    if tag is not None:
        event["app"] = tag
    if pid:
        event["pid"] = pid
    event["msg"] = msg
    return event
