"""Time zones: the offsets and abbreviations that follow a timestamp, and the zones of the IANA database by name."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

# Hours east of UTC. RFC 2822, 4.3 has the American ones; the others are those that PostgreSQL, Java and date(1) write.
# Words that name several zones (IST, CST, BST) are read as the one that log files have most often.
_HOURS: Final = {
    "Z": 0, "UT": 0, "UTC": 0, "UCT": 0, "GMT": 0, "WET": 0, "EGST": 0,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "AKST": -9, "AKDT": -8, "HST": -10, "AST": -4, "ADT": -3, "BRT": -3, "BRST": -2, "ART": -3, "CLT": -4, "CLST": -3,
    "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "MEZ": 1, "MESZ": 2, "WEST": 1, "BST": 1, "WAT": 1, "CAT": 2, "SAST": 2,
    "EET": 2, "EEST": 3, "EAT": 3, "MSK": 3, "MSD": 4, "GST": 4, "TRT": 3, "SAMT": 4, "YEKT": 5, "PKT": 5, "OMST": 6,
    "WIB": 7, "ICT": 7, "KRAT": 7, "HKT": 8, "SGT": 8, "AWST": 8, "IRKT": 8, "JST": 9, "KST": 9, "YAKT": 9,
    "AEST": 10, "AEDT": 11, "VLAT": 10, "NZST": 12, "NZDT": 13,
}  # fmt: skip
_HALF_HOURS: Final = {"IST": 330, "ACST": 570, "ACDT": 630, "NST": -210, "NDT": -150, "NPT": 345}
_WORDS: Final = {**{word: hours * 60 for word, hours in _HOURS.items()}, **_HALF_HOURS}

# Words that are read after a time in a line of text. The others are ordinary words, or too rare to risk it.
_IN_TEXT: Final = (
    "UTC GMT UCT WET Z CET WEST BST MEZ CEST EET SAST MESZ MSK EEST TRT GST PKT IST WIB HKT SGT AWST JST KST ACST AEST "
    "ACDT AEDT NZST NZDT BRT ART ADT NDT NST EDT AST EST CDT CST MDT MST PDT PST AKDT AKST HST"
)


def _written(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


ZONES: Final[dict[str, str]] = {word: _written(_WORDS[word]) for word in _IN_TEXT.split()}
"""Zone word in a line of text -> offset from UTC as ``+HH:MM``."""

STARTS: Final = frozenset(word[:3] for word in ZONES)
"""The first three characters of each word of ``ZONES``: one look-up rules out nearly every other word."""

# Of an offset, what repeats it is dropped: Go's `+0000 UTC m=+0.01`, JavaScript's `GMT+0100 (CET)`, Java's
# `+01:00[Europe/Berlin]`.
_OFFSET: Final = re.compile(
    r" ?(?:(?:UTC|GMT|UT) ?([+-])([0-9]{1,2})(?::?([0-9]{2}))?|([+-])([0-9]{2})(?::?([0-9]{2}))?|[Zz])"
    r"(?: [A-Z]{1,5}| [+-][0-9]{2}(?:[0-9]{2})?| \([^()]*\))?(?: m=[+-][0-9.]+)?(?:\[[A-Za-z0-9_+:/-]+\])?"
)
_WORD: Final = re.compile(r" ?([A-Za-z]{1,5})(?: m=[+-][0-9.]+)?(?:\[[A-Za-z0-9_+:/-]+\])?")


# What isoformat(), toISOString() and strftime's %z write, for the offsets that there are: one look-up.
COMMON_OFFSETS: Final[dict[str, int]] = {
    f"{sign}{hours:02d}{colon}{minutes:02d}": (hours * 60 + minutes) * (1 if sign == "+" else -1)
    for sign in "+-"
    for hours in range(15)
    for minutes in (0, 30, 45)
    for colon in (":", "")
}


def offset_of(text: str) -> int | None:
    """Return the minutes east of UTC that ``text``, what follows a time, means.

    None if the text is no zone.
    """
    found = _OFFSET.fullmatch(text)
    if found is not None:
        hours = found[2] or found[5]
        if hours is None:
            return 0
        minutes = int(found[3] or found[6] or 0)
        if int(hours) > 23 or minutes > 59:
            return None
        offset = int(hours) * 60 + minutes
        return -offset if (found[1] or found[4]) == "-" else offset
    found = _WORD.fullmatch(text)
    if found is not None:
        return _WORDS.get(found[1].upper())
    return None


def zone_of(name: str) -> tzinfo:
    """Return the zone that the IANA database has under ``name``. For settings alone: it opens a file.

    Raises:
        ValueError: there is no such zone on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"no time zone {name!r} in this machine's database (the tzdata package has it)") from None


def zone_or_none(name: str) -> tzinfo | None:
    """Return the zone that the IANA database has under ``name``, or None."""
    return _zone(name) if name in _names() else None


def load() -> None:
    """Read the whole database, 600 small files, so that ``zone_or_none`` opens none; for a thread, at the start."""
    for name in _names():
        _zone(name)


@cache
def _zone(name: str) -> tzinfo | None:
    try:
        return zone_of(name)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    """The names of the database, listed once: to look for an unknown one in the file system takes 29 us each time."""
    return frozenset(available_timezones())
