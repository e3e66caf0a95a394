"""Dates and times as log lines write them, to timestamps that the normaliser reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from logops_fast.ingest.zones import ZONES

_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS: Final[dict[str, int]] = {
    spelled: number for number, name in enumerate(_NAMES, 1) for spelled in (name, name.upper(), name.lower())
}
"""Month by its English abbreviation, in the three usual spellings."""

_YEAR_FIRST: Final = re.compile(r"([0-9]{4})([-/.]?)([0-9]{2})\2([0-9]{2})")
_YEAR_THEN_NAME: Final = re.compile(r"([0-9]{4}) ([A-Za-z]{3}) +([0-9]{1,2})")
_MONTH_NAME: Final = re.compile(r"([A-Za-z]{3}) +([0-9]{1,2})(?:,? ([0-9]{4}))?")
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[-/ ]([A-Za-z]{3})(?:[-/ ]([0-9]{4}))?")
_MONTH_DAY: Final = re.compile(r"([0-9]{2})-?([0-9]{2})")

_AHEAD: Final = timedelta(days=1)
_YEARS_BACK: Final = 9  # 29 February: eight years pass between 1896 and 1904
_MAX_ZONES: Final = 16  # IANA names looked up for one body: each unknown one is a search of the file system


class Calendar:
    """Settles the dates of one body, each once.

    A date without a year is the latest one that is not more than a day after ``now`` (epoch seconds). ``zone`` is the
    time zone of times that are written without one.
    """

    __slots__ = ("_dates", "_edge", "_edge_clock", "_local", "_minutes", "_named", "_now", "_zone")

    def __init__(self, now: float, zone: tzinfo = UTC) -> None:
        self._now = datetime.fromtimestamp(now, zone)
        self._zone = zone
        self._local = zone is not UTC
        self._dates: dict[str, str] = {}
        self._minutes: dict[str, str] = {}  # date, hour and minute in a zone -> the same in UTC
        self._named: dict[str, tzinfo | None] = {}
        try:
            edge = self._now + _AHEAD
        except OverflowError:  # the last day of year 9999
            edge = self._now
        self._edge = edge.strftime("%Y-%m-%d")
        self._edge_clock = edge.strftime("%H:%M:%S")

    def timestamp(self, day: str, clock: str, fraction: str, zone: str) -> str | None:
        """Return an RFC 3339 timestamp, or None if there is no such day or time.

        ``day``: ``2026-11-25``, ``2026/11/25``, ``2026.11.25``, ``20261125``, ``Nov 25``, ``Nov 25 2026``,
        ``2026 Nov 25``, ``25/Nov/2026``, ``25-Nov-2026``, ``25 Nov 2026``, ``11-25`` or ``1125``. ``clock``:
        ``HH:MM:SS``. ``fraction``: digits or "". ``zone``: ``Z``, an offset, a word of zones.ZONES, an IANA name or "".
        """
        date = self._dates.get(day)
        if date is None:
            date = self._dates[day] = self._settle(day, self._now.year + 1)
        if not date or clock >= "24" or clock[3] > "5" or clock[6] > "6":
            return None
        if date == self._edge and clock > self._edge_clock and _has_no_year(day):
            date = self._settle(day, int(date[:4]) - 1)
        if zone == "Z" or not (zone or self._local):
            return f"{date}T{clock}.{fraction}Z" if fraction else f"{date}T{clock}Z"
        key = f"{date}T{clock[:5]}{zone}"
        minute = self._minutes.get(key)
        if minute is None:
            minute = self._minutes[key] = self._in_utc(f"{date}T{clock[:5]}", zone)
        # Seconds are the same in all zones, a leap second too.
        return f"{minute}{clock[5:]}.{fraction}Z" if fraction else f"{minute}{clock[5:]}Z"

    def _in_utc(self, minute: str, zone: str) -> str:
        """Return ``YYYY-MM-DDTHH:MM`` of a zone in UTC, or as it is if it falls out of the calendar."""
        local = datetime.fromisoformat(minute)
        if zone[:1] in ("+", "-") or zone in ZONES:
            offset = ZONES.get(zone, zone)
            distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:].strip(":") or 0))
        else:
            named = self._zone_by_name(zone) if zone else None
            distance = local.replace(tzinfo=named if named is not None else self._zone).utcoffset() or timedelta()
            distance -= timedelta(seconds=distance.seconds % 60)  # local mean times, before there were zones
            offset = "+"
        try:
            return (local + distance if offset[0] == "-" else local - distance).isoformat()[:16]
        except OverflowError:
            return minute

    def _zone_by_name(self, name: str) -> tzinfo | None:
        if name not in self._named:
            if len(self._named) >= _MAX_ZONES:
                return None
            try:
                self._named[name] = ZoneInfo(name)
            except (KeyError, ValueError, OSError):  # no such zone, or a name that is a directory
                self._named[name] = None
        return self._named[name]

    def _settle(self, day: str, latest_year: int) -> str:
        """Return ``day`` as ``YYYY-MM-DD``, or "" if it does not exist."""
        year, month, number = _parts(day)
        years = range(latest_year, latest_year - _YEARS_BACK, -1) if year is None else (year,)
        for candidate in years:
            try:
                date = datetime(candidate, month, number)  # noqa: DTZ001 - a day of no zone
            except ValueError:  # no such month; 30 February, or 29 in a common year
                continue
            text = f"{date.year:04}-{date.month:02}-{date.day:02}"
            if year is not None or text <= self._edge:
                return text
        return ""


def _has_no_year(day: str) -> bool:
    return _parts(day)[0] is None


def _parts(day: str) -> tuple[int | None, int, int]:
    """Return year, month and day of the month; 0 is a month that does not exist."""
    found = _YEAR_FIRST.fullmatch(day)
    if found is not None:
        return int(found[1]), int(found[3]), int(found[4])
    found = _MONTH_NAME.fullmatch(day)
    if found is not None:
        return int(found[3]) if found[3] else None, MONTHS.get(found[1], 0), int(found[2])
    found = _DAY_FIRST.fullmatch(day)
    if found is not None:
        return int(found[3]) if found[3] else None, MONTHS.get(found[2], 0), int(found[1])
    found = _YEAR_THEN_NAME.fullmatch(day)
    if found is not None:
        return int(found[1]), MONTHS.get(found[2], 0), int(found[3])
    found = _MONTH_DAY.fullmatch(day)
    if found is not None:
        return None, int(found[1]), int(found[2])
    return None, 0, 0
