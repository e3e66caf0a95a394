"""Patterns for the separators that may follow a name that matters, in members and in text.

A secret's name, or a configured one, is recognised by its last three letters right before the separator: three
character classes first, the exact letters only if those fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from logops_fast.ingest.pii.names import ENDINGS, NameRules

ENDING: Final = 3  # letters
_CLOSERS: Final = rb"[\xfd' \xff`\]]"  # what may part a name from its separator in text: quotes, a blank, a tab, `]`
_CLOSERS_OR_COLON: Final = rb"[\xfd' \xff`\]:]"
_OPENERS: Final = b"\"\xfd'`"
_ANY: Final = bytes(range(256))

Ending = tuple[bytes, bytes, bytes]
"""The bytes that each of the last three places of a name may be."""


class Endings:
    """How the names that matter end, as zero-width patterns for the place right after a name."""

    __slots__ = ("any", "endings")

    def __init__(self, endings: Iterable[Ending], *, any_name: bool = False) -> None:
        self.endings = sorted(set(endings))
        self.any = any_name

    def before(self, tail: bytes) -> bytes:
        """A zero-width pattern: a name that matters and ``tail``, a pattern of fixed width, end here."""
        if self.any:
            return rb"(?<=" + tail + rb")"
        quick = b"".join(_class(b"".join(ending[place] for ending in self.endings)) for place in range(ENDING))
        exact = b"|".join(b"".join(_class(place) for place in ending) for ending in self.endings)
        return rb"(?<=" + quick + tail + rb")(?<=(?:" + exact + rb")" + tail + rb")"


def endings_of(rules: NameRules, extra: Sequence[str] = ()) -> Endings | None:
    """The endings of all the names that ``rules`` knows, and of ``extra``; None if there are none."""
    names = [*extra, *rules.patterns]
    if rules.has_secrets:
        names += ENDINGS
    endings = [_ending(name) for name in names]
    known = [ending for ending in endings if ending is not None]
    return Endings(known, any_name=len(known) < len(endings)) if endings else None


def _ending(name: str) -> Ending | None:
    """How ``name``, which may be a glob, ends; None if any name may match it."""
    tail = name[-ENDING:]
    star = max(tail.rfind("*"), tail.rfind("?"), tail.rfind("]"))
    if star == len(tail) - 1 or not tail.isascii() or not tail.isprintable() or set(tail) & set('"\\'):
        return None
    places = [_both(char) for char in tail[star + 1 :]]
    if star < 0 and len(places) < ENDING:
        places.insert(0, _OPENERS)  # a name of one or two letters: its opening quote comes before
    while len(places) < ENDING:
        places.insert(0, _ANY)
    return (places[0], places[1], places[2])


def _both(char: str) -> bytes:
    return b"".join(sorted({char.lower().encode(), char.upper().encode()}))


def _class(chars: bytes) -> bytes:
    present = set(chars)
    if len(present) == len(_ANY):
        return rb"[\x00-\xff]"
    return b"[" + b"".join(re.escape(bytes((char,))) for char in sorted(present)) + b"]"


def member_pattern(endings: Endings) -> re.Pattern[bytes]:
    """Finds the end of the name of each object member that may matter: ``":`` in neutral text."""
    return re.compile(rb'":' + endings.before(b'":'))


def pair_pattern(endings: Endings, separator: bytes) -> re.Pattern[bytes]:
    """Finds each separator inside a string that may follow a name that matters."""
    if separator == b"=":
        # `api_key = "..."`, `'password' => '...'`: what comes before the blank is looked at afterwards.
        return re.compile(rb"=(?:" + endings.before(b"=") + rb"|(?<=" + _CLOSERS_OR_COLON + rb"=))")
    return re.compile(separator + rb'(?<!"' + separator + rb")(?:" + inner(endings, separator) + rb")")


def inner(endings: Endings, separator: bytes) -> bytes:
    """Alternatives: the name right before the separator, or with one or two quotes and blanks between."""
    return b"|".join(
        (
            endings.before(separator),
            rb"(?<=" + _CLOSERS + separator + rb")" + endings.before(_CLOSERS + separator),
            rb"(?<=" + _CLOSERS + rb" " + separator + rb")" + endings.before(_CLOSERS + rb" " + separator),
        )
    )
