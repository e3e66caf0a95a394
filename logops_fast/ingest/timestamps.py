"""Timestamps: whatever a client writes, RFC 3339 in UTC with ``Z`` and the input's own fraction digits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

# RFC 3339, 5.6, and what loggers make of it: a blank for the T, lower case, a comma before the fraction (log4j,
# Python's logging), an offset without its colon (strftime's %z) or without minutes, none at all (UTC).
_FORM: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    r" ?(?:[Zz]|(?:UTC|GMT)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
_NUMBER: Final = re.compile(r"([0-9]{9,20})(?:\.([0-9]+))?")
# 20250131 and 20250131235959 are dates of ISO 8601's basic form, not seconds.
_BASIC: Final = re.compile(r"(?:19|20)[0-9]{12}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# By size: below 1e11 they are seconds (until the year 5138), each thousandfold the next unit.
_UNITS: Final = ((10**11, 0), (10**14, 3), (10**17, 6), (10**20, 9))


def canonical(value: Any) -> str | None:
    """The instant that a value names, as ``YYYY-MM-DDTHH:MM:SS[.fraction]Z``; None where it names none.

    Takes RFC 3339 with any zone (none means UTC), and the seconds, milli-, micro- or nanoseconds since 1970 as a
    number or as its digits. Dates alone, week dates and the basic form are not taken.
    """
    if isinstance(value, str):
        text = value.strip()
        form = _FORM.fullmatch(text)
        if form is not None:
            return _from_form(form)
        number = _NUMBER.fullmatch(text)
        if number is None or _BASIC.fullmatch(text) is not None:
            return None
        return _from_epoch(number[1], number[2] or "")
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _from_epoch(str(value), "") if 0 <= value < 10**20 else None
    if isinstance(value, float) and 0 <= value < 10**20:
        if value.is_integer():
            return _from_epoch(str(int(value)), "")
        # repr: the shortest digits that give the same float back, as they were sent. Below 1e-4 it has an exponent.
        whole, _, fraction = repr(value).partition(".")
        return _from_epoch(whole, fraction) if fraction.isdecimal() else None
    return None


@lru_cache(maxsize=4)
def of_receipt(seconds: float) -> str:
    """The time of receipt, milliseconds kept. Remembered, since a batch without times asks for each event."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _from_form(form: re.Match[str]) -> str | None:
    date, minute, second, fraction, sign, hours, minutes = form.groups()
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{date}T{minute}:{'59' if leap else second}")
        if sign is not None:
            if hours > "23" or (minutes or "00") > "59":
                return None
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    # A leap second (RFC 3339, 5.7) stands at the end of a UTC day. Nothing that reads the files knows :60, so it is
    # told as the second before, its fraction kept.
    if leap and (moment.hour, moment.minute) != (23, 59):
        return None
    return f"{moment.isoformat()}.{fraction}Z" if fraction else f"{moment.isoformat()}Z"


def _from_epoch(whole: str, fraction: str) -> str | None:
    number = int(whole)
    for limit, places in _UNITS:
        if number < limit:
            if places:
                whole = whole.rjust(places + 1, "0")
                number, fraction = int(whole[:-places]), whole[-places:] + fraction
            return _from_epoch_parts(number, fraction)
    return None


def _from_epoch_parts(seconds: int, fraction: str) -> str | None:
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    text = moment.isoformat()[:19]
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"
