"""Timestamps: an instant in any of the forms that loggers write, as RFC 3339 in UTC, its fraction kept."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from logops_fast.ingest.epoch import utc_seconds
from logops_fast.ingest.zones import COMMON_OFFSETS, offset_of, zone_or_none

_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WRITTEN_OUT: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTHS: Final = {name: number for names in (_MONTH_NAMES, _WRITTEN_OUT) for number, name in enumerate(names, 1)}

_MONTH: Final = r"([A-Za-z]{3,9})"
_CLOCK: Final = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
_DAY: Final = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? +)?"
# RFC 3339, 5.6, and what loggers make of it: a blank for the T, slashes (Go, nginx), a comma before the fraction
# (log4j, Python's logging), no seconds (java.time), any zone that `offset_of` reads, or none.
_ISO: Final = re.compile(r"([0-9]{4})([-/.])([0-9]{2})\2([0-9]{2})[Tt ]" + _CLOCK + r"([^0-9].*)?")
# RFC 850's form of HTTP dates, whose weekday is written out: the one form with two digits for the year.
_RFC_850: Final = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-([A-Za-z]{3})-([0-9]{2}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
# The hour of a twelve-hour clock, and the rest after AM or PM.
_HALF_DAY: Final = re.compile(r"(?: |\u202f)?([AP])M(.*)", re.IGNORECASE)
# PHP, Java, Airflow: an IANA name after a blank or in brackets.
_IANA: Final = re.compile(r" ?\[?([A-Z][A-Za-z]{1,31}(?:/[A-Za-z_+-]{1,31}){1,2}|UTC)\]?")
# ISO 8601's basic form. Fourteen digits alone are not taken: they might be any number.
_BASIC: Final = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})([Tt]?)([0-9]{2})([0-9]{2})([0-9]{2})?(?:[.,]([0-9]+))?([^0-9].*)?"
)
# RFC 1123 (HTTP dates), RFC 5322, the Common Log Format, BIND, Tomcat, Redis.
_DAY_FIRST: Final = re.compile(
    _DAY + r"([0-9]{1,2})([ /-])" + _MONTH + r"\2([0-9]{4})[ :T]" + _CLOCK + r"([^0-9].*)?", re.IGNORECASE
)
# C's asctime, date(1), Apache's error log, Ruby: the year stands last.
_YEAR_LAST: Final = re.compile(
    _DAY + r"([A-Za-z]{3}) +([0-9]{1,2}) " + _CLOCK + r"( [A-Z]{1,5}| [+-][0-9]{4})? ([0-9]{4})", re.IGNORECASE
)
# java.util.logging (a narrow no-break space before AM since JDK 20), JavaScript's Date.toString(), Cisco, Kibana ("@").
_MONTH_FIRST: Final = re.compile(
    _DAY + _MONTH + r" +([0-9]{1,2}),? ([0-9]{4}),? (?:@ )?([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    "(?:[ \u202f]([AP])M)?([^0-9].*)?",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"([0-9]{9,20})(?:\.([0-9]+))?")
# 20250131235959 is a date without its separators, not seconds.
_DATE_DIGITS: Final = re.compile(r"(?:19|20)[0-9]{12}")
_MICROSOFT: Final = re.compile(r"\\?/Date\(([0-9]{9,17})(?:[+-][0-9]{4})?\)\\?/")
_LONGEST: Final = 128  # characters; what is longer is some other text

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LEAST_NUMBER: Final = 10**8
"""A smaller number is no time but a duration, a count, a port: as seconds it would be before March 1973."""
# By size: below 1e11 they are seconds (until the year 5138), each thousandfold the next unit.
_UNITS: Final = ((10**11, 0), (10**14, 3), (10**17, 6), (10**20, 9))
# Objects of seconds and nanoseconds: protobuf and Google Cloud, log4j2, Firestore, C's timespec.
_PARTS: Final = (
    ("seconds", "nanos"),
    ("epochSecond", "nanoOfSecond"),
    ("_seconds", "_nanoseconds"),
    ("seconds", "nanoseconds"),
    ("tv_sec", "tv_nsec"),
)


def canonical(value: Any, zone: tzinfo = UTC) -> str | None:
    """Return the instant that ``value`` names as ``YYYY-MM-DDTHH:MM:SS[.fraction]Z``, or None if it names none.

    ``zone`` applies to times that carry no zone. Numbers, and texts of digits, are seconds, milliseconds,
    microseconds or nanoseconds since 1970 by their size. Also read: MongoDB's ``{"$date": ...}``, objects of seconds
    and nanoseconds, PHP's DateTime. After a time, the name of an IANA zone is read. A date without a time of day, a
    time of day without a date, a date without a year and a date whose day and month could be swapped (03/04/2026) are
    not read.
    """
    if isinstance(value, str):
        return _from_text(value, zone) if len(value) <= _LONGEST else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        # Written out here and below: compiled code works out a power each time.
        if 100_000_000_000 <= value < 100_000_000_000_000:  # milliseconds: JavaScript, Java
            seconds, millis = divmod(value, 1000)
            return f"{utc_seconds(seconds)}.{str(1000 + millis)[1:]}Z"
        return _from_epoch(str(value), "") if 0 <= value < 100_000_000_000_000_000_000 else None
    if isinstance(value, float):
        return _from_float(value)
    if isinstance(value, dict):
        return _from_object(value, zone)
    return None


def _from_text(value: str, zone: tzinfo) -> str | None:
    shape = value[4:17:3]
    if (shape == "--T::" or shape == "-- ::") and value[11:13] < "24":  # fromisoformat of CPython 3.14 takes 24:00
        # The forms of nearly all loggers, without a pattern: half the time.
        try:
            text = value[:19]
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            rest = value[19:]
            fraction = ""
            mark = rest[:1]
            if mark == "." or mark == ",":
                after = rest[1:].lstrip("0123456789")
                fraction = rest[1 : len(rest) - len(after)]
                rest = after if fraction else "?"
            offset = 0 if rest == "Z" or (not rest and zone is UTC) else COMMON_OFFSETS.get(rest)
            if offset is not None and moment.tzinfo is None:  # 23:59:Z reads, and has no seconds
                if shape != "--T::":
                    text = f"{value[:10]}T{value[11:19]}"  # as isoformat writes it, at half its cost
                if offset:
                    try:
                        text = (moment - timedelta(minutes=offset)).isoformat()
                    except OverflowError:
                        return None
                return f"{text}.{fraction}Z" if fraction else f"{text}Z"
    elif len(value) == 19 and value[0] != "0" and value.isascii() and value.isdigit():  # nanoseconds: OpenTelemetry
        return f"{utc_seconds(int(value[:10]))}.{value[10:]}Z"
    text = value.strip()
    if text[:1] == "[" and text[-1:] == "]":
        text = text[1:-1]
    first = text[:1]
    if first.isdigit():
        return _from_digits(text, zone)
    if first.isalpha():
        return _from_words(text, zone)
    number = _MICROSOFT.fullmatch(text)
    return None if number is None else _from_epoch(number[1], "")


def _from_digits(text: str, zone: tzinfo) -> str | None:
    """A text that begins with a digit: most of what there is."""
    found = _ISO.fullmatch(text)
    if found is not None:
        year, _, month, day, hour, minute, second, fraction, rest = found.groups()
        return _settled(year, int(month), day, hour, minute, second, fraction, rest, zone)
    found = _NUMBER.fullmatch(text)
    if found is not None:
        return None if _DATE_DIGITS.fullmatch(text) is not None else _from_epoch(found[1], found[2] or "")
    found = _BASIC.fullmatch(text)
    if found is not None:
        year, month, day, separator, hour, minute, second, fraction, rest = found.groups()
        if not separator and (not rest or second is None):
            return None
        return _settled(year, int(month), day, hour, minute, second, fraction, rest, zone)
    return _from_words(text, zone)


def _from_words(text: str, zone: tzinfo) -> str | None:
    """The forms with the name of a month."""
    found = _DAY_FIRST.fullmatch(text)
    if found is not None:
        day, _, name, year, hour, minute, second, fraction, rest = found.groups()
        return _settled(year, _MONTHS.get(name.lower(), 0), day, hour, minute, second, fraction, rest, zone)
    found = _YEAR_LAST.fullmatch(text)
    if found is not None:
        name, day, hour, minute, second, fraction, rest, year = found.groups()
        return _settled(year, _MONTHS.get(name.lower(), 0), day, hour, minute, second, fraction, rest, zone)
    found = _RFC_850.fullmatch(text)
    if found is not None:
        day, name, year, hour, minute, second = found.groups()
        # RFC 9110, 5.6.7: a year over 50 years ahead is in the past; 1970 is the pivot that POSIX has.
        century = "19" if year >= "70" else "20"
        return _settled(century + year, _MONTHS.get(name.lower(), 0), day, hour, minute, second, None, "Z", zone)
    found = _MONTH_FIRST.fullmatch(text)
    if found is not None:
        name, day, year, hour, minute, second, fraction, half, rest = found.groups()
        if half is not None:
            if not 1 <= int(hour) <= 12:
                return None
            hour = str(int(hour) % 12 + (12 if half in "Pp" else 0))
        return _settled(year, _MONTHS.get(name.lower(), 0), day, hour, minute, second, fraction, rest, zone)
    return None


def _settled(
    year: str,
    month: int,
    day: str,
    hour: str,
    minute: str,
    second: str | None,
    fraction: str | None,
    rest: str | None,
    zone: tzinfo,
) -> str | None:
    """The canonical form of a date that was taken apart; None for one that no calendar has, or in an unknown zone."""
    leap = second == "60"
    if rest is not None and rest[-1] not in "Z0123456789":
        half = _HALF_DAY.fullmatch(rest)
        if half is not None:
            if not 1 <= int(hour) <= 12:
                return None
            hour = str(int(hour) % 12 + (12 if half[1] in "Pp" else 0))
            rest = half[2] or None
    try:
        moment = datetime(int(year), month, int(day), int(hour), int(minute), 59 if leap else int(second or 0))  # noqa: DTZ001
        if rest is None:
            if zone is not UTC:
                moment = moment.replace(tzinfo=zone).astimezone(UTC)
        elif rest != "Z":
            offset = offset_of(rest)
            if offset is None:
                named = _IANA.fullmatch(rest)
                iana = None if named is None else zone_or_none(named[1])
                if iana is None:
                    return None
                moment = moment.replace(tzinfo=iana).astimezone(UTC)
            elif offset:
                moment = moment - timedelta(minutes=offset)
    except (ValueError, OverflowError):
        return None
    # A leap second (RFC 3339, 5.7) ends a UTC day. Nothing that reads the files knows :60, so it is written as the
    # second before, its fraction kept.
    if leap and (moment.hour, moment.minute) != (23, 59):
        return None
    text = moment.isoformat()[:19]
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def _from_float(value: float) -> str | None:
    if not LEAST_NUMBER <= value < 1e20:  # false for NaN as well
        return None
    if value.is_integer():
        return _from_epoch(str(int(value)), "")
    # repr: the shortest digits that give the same float back, as they were sent.
    whole, _, fraction = repr(value).partition(".")
    if value < 1e11:
        return f"{utc_seconds(int(whole))}.{fraction}Z"
    return _from_epoch(whole, fraction)


def _from_epoch(whole: str, fraction: str) -> str | None:
    number = int(whole)
    if number < LEAST_NUMBER:
        return None
    for limit, places in _UNITS:
        if number < limit:
            if places:
                number, fraction = number // 10**places, whole[-places:] + fraction
            return _from_seconds(number, fraction)
    return None


def _from_seconds(seconds: int, fraction: str) -> str | None:
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    except OverflowError:
        return None
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def _from_object(value: dict[str, Any], zone: tzinfo) -> str | None:
    if "$date" in value:
        inner = value["$date"]
        if isinstance(inner, dict):  # MongoDB's canonical extended JSON
            inner = inner.get("$numberLong")
        return None if isinstance(inner, dict) else canonical(inner, zone)
    for seconds_name, nanos_name in _PARTS:
        if seconds_name in value:
            seconds = _whole(value[seconds_name])
            if seconds is None or not LEAST_NUMBER <= seconds < 10**11:
                return None
            if nanos_name in value:
                nanos = _whole(value[nanos_name])
                return None if nanos is None or nanos >= 10**9 else _from_seconds(seconds, f"{nanos:09d}")
            if len(value) == 1:  # protobuf leaves a zero out
                return _from_seconds(seconds, "")
    if "timezone_type" in value and isinstance(value.get("date"), str):  # PHP's DateTime, as Monolog 1 wrote it
        return canonical(f"{value['date']} {value.get('timezone', '')}".strip(), zone)
    if "repr" in value and "timestamp" in value:  # loguru's record.time
        return canonical(value["timestamp"], zone)
    return None


def _whole(value: Any) -> int | None:
    """A whole number of at most twelve digits, also as text (protobuf's JSON writes 64-bit integers so)."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None
