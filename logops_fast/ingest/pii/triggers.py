"""Patterns for the separators that may follow a name that matters, in members and in text.

A secret's name, or a configured one, is recognised by its last three or four letters right before the separator: three
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
_CLOSERS_OR_QUOTE: Final = rb"[\xfd' \xff`\]\x22]"
_FORM_CLOSERS: Final = (rb"\]", rb"\[\]", rb" ")  # `"user[password]":`, `"password[]":`, `"password ":`
_OPENERS: Final = b"\"\xfd'`"
_ANY: Final = bytes(range(256))

Ending = tuple[bytes, bytes, bytes]
"""The bytes that each of the last three places of a name may be."""


class Endings:
    """How the names that matter end, as zero-width patterns for the place right after a name.

    ``endings`` are of three places, ``words`` of three letters or more.
    """

    __slots__ = ("any", "endings", "words")

    def __init__(self, endings: Iterable[Ending], words: Iterable[str] = (), *, any_name: bool = False) -> None:
        self.endings = sorted(set(endings))
        self.words = sorted(set(words))
        self.any = any_name

    def before(self, tail: bytes) -> bytes:
        """A zero-width pattern: a name that matters and ``tail``, a pattern of fixed width, end here."""
        if self.any:
            return rb"(?<=" + tail + rb")"
        # Three classes first, which most of what is no name does not pass.
        places: list[set[int]] = [set(), set(), set()]
        for ending in (*self.endings, *(_places(word[-ENDING:]) for word in self.words)):
            for place, chars in zip(places, ending, strict=True):
                place.update(chars)
        quick = b"".join(_class(bytes(place)) for place in places)
        exact = [_exactly(self.endings, tail)] if self.endings else []
        exact += [
            _exactly([_places(word) for word in self.words if len(word) == width], tail)
            for width in sorted({len(word) for word in self.words})
        ]
        return rb"(?<=" + quick + tail + rb")(?:" + b"|".join(exact) + rb")"


def _exactly(endings: Sequence[Sequence[bytes]], tail: bytes) -> bytes:
    alternatives = b"|".join(b"".join(map(_class, ending)) for ending in endings)
    return rb"(?<=(?:" + alternatives + rb")" + tail + rb")"


def _places(word: str) -> list[bytes]:
    return [_both(char) for char in word]


def endings_of(rules: NameRules, extra: Sequence[str] = ()) -> Endings | None:
    """The endings of all the names that ``rules`` knows, and of ``extra``; None if there are none."""
    names = [*extra, *rules.patterns]
    words = ENDINGS if rules.has_secrets else ()
    endings = [_ending(name) for name in names]
    known = [ending for ending in endings if ending is not None]
    return Endings(known, words, any_name=len(known) < len(endings)) if endings or words else None


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


def name_pattern(endings: Endings) -> bytes:
    """Alternatives for the place after a colon: it follows a name that matters, of a member or in a text.

    As `member_pattern` and `inner` find them, with what they share asked once: most colons follow no closer.
    """
    closer = _CLOSERS_OR_QUOTE + b":"
    spaced = _CLOSERS + rb" :"
    return (
        endings.before(b":") + rb"|(?<=" + closer + rb")(?:" + endings.before(closer)
        + rb"|(?<=" + spaced + rb")" + endings.before(spaced) + rb"|" + _in_form(endings, rb"[\x22\xfd]:") + rb")"
    )  # fmt: skip


def element_pattern(endings: Endings) -> re.Pattern[bytes]:
    """Finds the end of each tag in a text whose name may matter."""
    return re.compile(rb">" + endings.before(b">"))


def member_pattern(endings: Endings) -> re.Pattern[bytes]:
    """Finds the end of the name of each object member that may matter: ``":`` in neutral text."""
    return re.compile(rb'":(?:' + endings.before(b'":') + rb"|" + _in_form(endings, b'":') + rb")")


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
            _in_form(endings, rb"\xfd" + separator),
        )
    )


def _in_form(endings: Endings, tail: bytes) -> bytes:
    """A name of a form's field in quotes, of which ``tail`` is the last: brackets or a blank are before it."""
    return b"(?<=[ \\]]" + tail + b")(?:" + b"|".join(endings.before(one + tail) for one in _FORM_CLOSERS) + b")"
