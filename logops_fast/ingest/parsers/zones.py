"""Time zone words, as loggers write them after a time."""

from __future__ import annotations

from typing import Final

# Words that name several zones (IST, CST, BST) are read as the one that log files hold most often.
_OFFSETS: Final = {
    "+00:00": "UTC GMT UCT WET Z",
    "+01:00": "CET WEST BST MEZ",
    "+02:00": "CEST EET SAST MESZ",
    "+03:00": "MSK EEST TRT",
    "+04:00": "GST",
    "+05:00": "PKT",
    "+05:30": "IST",
    "+07:00": "WIB",
    "+08:00": "HKT SGT AWST",
    "+09:00": "JST KST",
    "+09:30": "ACST",
    "+10:00": "AEST",
    "+10:30": "ACDT",
    "+11:00": "AEDT",
    "+12:00": "NZST",
    "+13:00": "NZDT",
    "-03:00": "BRT ART ADT",
    "-02:30": "NDT",
    "-03:30": "NST",
    "-04:00": "EDT AST",
    "-05:00": "EST CDT",
    "-06:00": "CST MDT",
    "-07:00": "MST PDT",
    "-08:00": "PST AKDT",
    "-09:00": "AKST",
    "-10:00": "HST",
}

ZONES: Final[dict[str, str]] = {word: offset for offset, words in _OFFSETS.items() for word in words.split()}
"""Zone word -> offset from UTC as ``+HH:MM``."""

STARTS: Final = frozenset(word[:3] for word in ZONES)
"""The first three characters of each word: one look-up rules out nearly every other word."""
