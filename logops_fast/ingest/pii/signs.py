"""What may be in a text, found out at little cost: text without personal data pays for this alone.

Each kind has one or more triggers: a text of which its finder masks anything holds one. An answer of no is certain; one
of yes means that the finder, which knows what is next to it, has to look. Most are needles for `rfind`, which is three
times as fast as `find` and `in` for 3 to 13 bytes, in one of two views of the text, byte for byte as long: `broad` has
one letter for both cases and ``0`` for each digit and gap, `shape` one letter for all.

The text is in rows, parted by newlines. A yes names its rows; the others are settled.

Measured on 12 kB, the values of 100 of the bench's clean events: each view 5 us, each needle 3 to 5, a byte 0.2, a
pattern that begins with a letter 4 and more: 9 for what is anchored at a colon.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cards import WIDE_SEPARATORS, may_be_number
from logops_fast.ingest.pii.encodings import ENCODED_BY
from logops_fast.ingest.pii.folded import DIGIT, RUN, broad
from logops_fast.ingest.pii.ipv4 import MAY_BE_IPV4
from logops_fast.ingest.pii.ipv6 import ANCHOR
from logops_fast.ingest.pii.keyforms import CAPITAL_A, LONG_WORD, PRIVATE_KEY, SHAPE, SHORT
from logops_fast.ingest.pii.names import QUERY_NAMES, NameRules
from logops_fast.ingest.pii.triggers import element_pattern, endings_of, name_pattern, pair_pattern
from logops_fast.ingest.pii.walk import rows_of, search

# The kinds (`kinds`), a bit each.
KEY: Final = 1
URL: Final = 2
BEARER: Final = 4
BASIC: Final = 8
DIGEST: Final = 16
JWT: Final = 32
EMAIL: Final = 64
CARD: Final = 128
IPV4: Final = 256
IPV6: Final = 512
FREQUENT: Final = EMAIL | IPV4
"""The kinds that are looked for in the whole text; the others in the rows that one of their triggers is in."""

# The triggers. Those that are a byte are asked for alone, or before the rest of the trigger, because they are rare.
EMAIL_SIGN: Final = 0x40
SCHEME: Final = re.compile(rb"b(?:earer|asic)")
"""In the broad view, for BEARER and BASIC: one pass for both costs half of two needles."""
DIGEST_SCHEME: Final = b"digest"
"""In the broad view, of a text with an `=`."""
CARD_GROUPS: Final = re.compile(rb"[0-9]{4}[ -][0-9]{4}")
"""In a run of digits, blanks and hyphens that is as long as a card's number (`folded.RUN` in the broad view); or else
a run of digits that `may_be_number`."""
DOTTED_GROUPS: Final = re.compile(rb"\.(?=[0-9]{4})(?<=[0-9]{4}\.)")
"""For CARD. Between groups a dot is asked for with the dots of addresses: as a gap in the broad view it would make most
addresses of IPv4 as long as a card's number."""
GROUPS_IN_VIEW: Final = re.compile(rb"\.0000(?<=0000\.0000)")
"""All places of `DOTTED_GROUPS`, and perhaps others, in the broad view: with five bytes to begin with a pattern takes
half as long as with one, of text with many dots."""
DOTTED: Final = re.compile(rb"\.(?:" + DOTTED_GROUPS.pattern[2:] + rb"()|" + MAY_BE_IPV4.pattern[2:] + rb")")
"""Either of both, the former with group 1."""
URL_SIGN: Final = b"://"
"""Of a text with an `@`."""
PATTERNS: Final = (
    (KEY, 0x41, CAPITAL_A),
    (JWT, 0x4A, re.compile(rb"J(?<=eyJ)")),
    (KEY, 0x4B, re.compile(rb"KEY(?<=" + PRIVATE_KEY + rb")")),
    (CARD, 0x2B, re.compile(rb"\+(?=[0-9]{4})(?<=[0-9]{4}\+)")),
    *((CARD, byte[0], pattern) for byte, pattern in WIDE_SEPARATORS),
    *((0, byte[0], pattern) for byte, pattern in ENCODED_BY),
)
"""Kind, the byte that the trigger begins with, the trigger. No kind: something encoded. For KEY and JWT also
`LONG_WORD`, in a shape.

Bytes are numbers: `0x40 in text` takes 12 ns, `b"@" in text` 130, as it makes a TypeError first and drops it."""

SHORT_KEYS: Final = tuple(zip(b"-X_", SHORT, strict=True))
"""For KEY: a byte, the rarest of the needle, and the needle."""

LARGE: Final = 2048
"""Bytes of a text from which on it pays to go from one rare byte to the next."""

_WHOLE: Final = re.compile(rb"[0-9]{13}")
_ANCHOR: Final = re.compile(ANCHOR)


class Triggers:
    """The patterns for the names that matter, before each of their separators."""

    __slots__ = ("colon", "colon_or_url", "element", "equals", "name")

    def __init__(self, rules: NameRules) -> None:
        endings = endings_of(rules)
        names = None if endings is None else name_pattern(endings)
        anchor = ANCHOR[1:]  # without its colon
        self.colon = _ANCHOR if names is None else re.compile(rb":(?:(?:" + names + rb")()|" + anchor + rb")")
        """A name before a colon, which sets group 1, or an IPv6 address."""
        self.colon_or_url = re.compile(rb":(?:(?:" + (names or rb"(?!)") + rb")()|(//)|" + anchor + rb")")
        """The same, or `URL_SIGN`, which sets group 2."""
        self.name: re.Pattern[bytes] | None = None if names is None else re.compile(rb":(?:" + names + rb")")
        self.equals: re.Pattern[bytes] | None = None
        self.element: re.Pattern[bytes] | None = None
        if endings is not None:
            self.equals = pair_pattern(endings_of(rules, QUERY_NAMES) or endings, b"=")
            self.element = element_pattern(endings)


class Signs:
    """What a text may hold; computed once, before anything in it is masked.

    ``found`` has a bit for each kind. ``rows``: the numbers of the rows, in order, that may hold anything but the
    FREQUENT kinds: another kind, a name that matters, or something encoded. ``named`` and ``encoded``: whether any row
    may hold one of those.
    """

    __slots__ = ("_places", "encoded", "found", "named", "rows")

    def __init__(self, text: bytes, triggers: Triggers) -> None:
        self.named = False
        self.encoded = False
        places: list[int] = []
        self._places = places
        found = 0
        view = broad(text)
        has_equals = 0x3D in text
        has_sign = EMAIL_SIGN in text
        if has_sign:
            found = EMAIL
        at = DOTTED.search(text)
        if at is not None:
            if at.lastindex is None:
                found |= IPV4
                at = GROUPS_IN_VIEW.search(view, at.end())
                if at is not None:
                    at = DOTTED_GROUPS.search(text, at.start())
            elif MAY_BE_IPV4.search(text) is not None:
                found |= IPV4
            if at is not None:
                self._find(text, DOTTED_GROUPS, at)
                found |= CARD
        shape = text.translate(SHAPE)
        last = shape.rfind(LONG_WORD)
        if last >= 0:
            self._add(shape, LONG_WORD, last)
            found |= KEY | JWT
        for byte, needle in SHORT_KEYS:
            if byte in text:
                last = text.rfind(needle)
                if last >= 0:
                    self._add(text, needle, last)
                    found |= KEY
        at = SCHEME.search(view)
        if at is not None:
            self._find(view, SCHEME, at)
            found |= BEARER | BASIC
        if has_equals:
            last = view.rfind(DIGEST_SCHEME)
            if last >= 0:
                self._add(view, DIGEST_SCHEME, last)
                found |= DIGEST
        last = view.rfind(RUN)
        if last >= 0:
            found |= self._find_numbers(text, view, last)
        large = len(text) > LARGE
        for sign, byte, pattern in PATTERNS:
            if byte in text:
                at = search(pattern, byte, text) if large and byte != 0x41 else pattern.search(text)
                if at is not None:
                    self._find(text, pattern, at)
                    found |= sign
                    if not sign:
                        self.encoded = True
        # An address of a URL with a password has an `@`: a walk of its own for `://` costs as much as that for colons.
        at = (triggers.colon_or_url if has_sign else triggers.colon).search(text)
        if at is not None:
            found |= self._find_colons(text, triggers, at, urls=has_sign)
        if has_equals and triggers.equals is not None:
            at = search(triggers.equals, 0x3D, text) if large else triggers.equals.search(text)
            if at is not None:
                self._find(text, triggers.equals, at)
                self.named = True
        if 0x3C in text and triggers.element is not None:
            at = triggers.element.search(text)
            if at is not None:
                self._find(text, triggers.element, at)
                self.named = True
        self.found = found
        self.rows = rows_of(text, places) if places else []

    def _add(self, view: bytes, needle: bytes, place: int) -> None:
        """Add a place in each row of ``view`` that holds ``needle``, whose last place is ``place``."""
        while place >= 0:
            self._places.append(place)
            row = view.rfind(b"\n", 0, place)
            place = view.rfind(needle, 0, row) if row >= 0 else -1

    def _find(self, text: bytes, pattern: re.Pattern[bytes], found: re.Match[bytes] | None) -> None:
        """Add a place in each row in which ``pattern`` is found; ``found``: the first."""
        while found is not None:
            place = found.start()
            self._places.append(place)
            end = text.find(b"\n", place)
            found = pattern.search(text, end) if end >= 0 else None

    def _find_numbers(self, text: bytes, view: bytes, place: int) -> int:
        """Add the rows with what may be a card's number; ``place``: of the last `RUN`. Returns the kinds."""
        kinds = 0
        while place >= 0:
            start = _run_start(view, place)
            if _may_be_card(text, start, place + len(RUN)):
                kinds = CARD
                self._places.append(place)
                start = text.rfind(b"\n", 0, start)
                if start < 0:
                    break
            place = view.rfind(RUN, 0, start)
        return kinds

    def _find_colons(self, text: bytes, triggers: Triggers, found: re.Match[bytes] | None, *, urls: bool) -> int:
        """Add the rows with a name before a colon, an IPv6 address, or, of ``urls``, a URL. Returns the kinds.

        ``found``: the first.
        """
        search = (triggers.colon_or_url if urls else triggers.colon).search
        kinds = 0
        while found is not None:
            place = found.start()
            self._places.append(place)
            at = text.find(b"\n", place)
            end = len(text) if at < 0 else at
            # A row's other kinds are looked for from the same place on.
            which = found.lastindex
            if not self.named and triggers.name is not None:
                self.named = which == 1 or triggers.name.search(text, place, end) is not None
            if urls and not kinds & URL and (which == 2 or text.find(URL_SIGN, place, end) >= 0):
                kinds |= URL
            if not kinds & IPV6 and (which is None or _ANCHOR.search(text, place, end) is not None):
                kinds |= IPV6
            found = search(text, at) if at >= 0 else None
        return kinds


def _run_start(view: bytes, place: int) -> int:
    """Where the run of digits and gaps begins that ``place`` is in."""
    size = 32
    while True:
        head = view[max(0, place - size) : place]
        more = len(head) - len(head.rstrip(DIGIT))
        place -= more
        if more < size:
            return place
        size *= 2


def _may_be_card(text: bytes, start: int, end: int) -> bool:
    """Whether a run of digits and gaps holds what may be a card's number."""
    if CARD_GROUPS.search(text, start, end) is not None:
        return True
    found = _WHOLE.search(text, start, end)
    while found is not None:
        done, may_be = may_be_number(text, found.start())
        if may_be:
            return True
        found = _WHOLE.search(text, done, end)
    return False
