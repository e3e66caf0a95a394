"""What may be in a text, found out at little cost: text without personal data pays for this alone.

Each kind has one or more triggers: a text of which its finder masks anything holds one. An answer of no is certain; one
of yes means that the finder, which knows what is next to it, has to look. Most are needles for `rfind`, which is three
times as fast as `find` and `in` for 3 to 13 bytes, in one of two views of the text, byte for byte as long: `fold` has
one letter for both cases and ``0`` for each digit, `shape` one letter for all.

The text is in rows, parted by newlines. A yes names its rows; the others are settled.

Measured on 12 kB, the values of 100 of the bench's clean events: each view 7 us, each needle 2, the pattern for what is
anchored at a colon 6, the capital `A` 4.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from logops_fast.ingest.pii.cards import WIDE_SEPARATORS, may_be_number
from logops_fast.ingest.pii.encodings import ENCODED_BY
from logops_fast.ingest.pii.folded import fold
from logops_fast.ingest.pii.ipv4 import MAY_BE_IPV4
from logops_fast.ingest.pii.ipv6 import ANCHOR
from logops_fast.ingest.pii.keyforms import CAPITAL_A, LONG_WORD, PRIVATE_KEY, SHAPE
from logops_fast.ingest.pii.names import QUERY_NAMES, NameRules
from logops_fast.ingest.pii.triggers import element_pattern, endings_of, name_pattern, pair_pattern

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

# The views of a text.
TEXT: Final = 0
FOLD: Final = 1
SHAPED: Final = 2


class Trigger(NamedTuple):
    """What a text holds that a kind may be in: ``needle`` in one of the views.

    ``gate``: a byte that the text itself holds then, too, asked for first because it is rare; empty: none is.
    """

    sign: int
    view: int
    needle: bytes
    gate: bytes


TRIGGERS: Final = (
    Trigger(URL, TEXT, b"://", b"@"),
    Trigger(DIGEST, FOLD, b"digest", b"="),
    Trigger(CARD, FOLD, b"0000 0000", b""),
    Trigger(KEY | JWT, SHAPED, LONG_WORD, b""),
    Trigger(KEY, TEXT, PRIVATE_KEY, b"K"),
)
"""The triggers that are needles."""

PATTERNS: Final = (
    (KEY, b"A", CAPITAL_A),
    (JWT, b"J", re.compile(rb"J(?<=eyJ)")),
    *((CARD, byte, pattern) for byte, pattern in WIDE_SEPARATORS),
    *((0, byte, pattern) for byte, pattern in ENCODED_BY),
)
"""The triggers that are patterns: the kind, the byte that each begins with, the pattern. No kind: something encoded.

Beside both: `EMAIL_SIGN`, `CARD_RUN`, `SCHEME`, `MAY_BE_IPV4`, and the patterns of `Triggers` for IPv6 and for names.
"""

EMAIL_SIGN: Final = b"@"
CARD_RUN: Final = b"0" * 13
"""In the folded view; the number that begins there must be one of a network's."""

SCHEME: Final = re.compile(rb"b(?:earer|asic)")
"""In the folded view, for BEARER and BASIC: one pass for both costs half of two needles."""

_ANCHOR: Final = re.compile(ANCHOR)


class Triggers:
    """The patterns for the names that matter, before each of their separators."""

    __slots__ = ("colon", "element", "equals", "name")

    def __init__(self, rules: NameRules) -> None:
        endings = endings_of(rules)
        names = None if endings is None else name_pattern(endings)
        anchor = ANCHOR[1:]  # without its colon
        self.colon = _ANCHOR if names is None else re.compile(rb":(?:(?:" + names + rb")()|" + anchor + rb")")
        """A name before a colon, which sets group 1, or an IPv6 address."""
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

    __slots__ = ("_rows", "encoded", "found", "named", "rows")

    def __init__(self, text: bytes, triggers: Triggers) -> None:
        self.found = 0
        self.named = False
        self.encoded = False
        self._rows: set[int] = set()
        fold_view = fold(text)
        shape = text.translate(SHAPE)
        if EMAIL_SIGN in text:
            self.found |= EMAIL
        if MAY_BE_IPV4.search(text) is not None:
            self.found |= IPV4
        for sign, view, needle, gate in TRIGGERS:
            if gate and gate not in text:
                continue
            searched = text if view == TEXT else fold_view if view == FOLD else shape
            at = searched.rfind(needle)
            if at >= 0:
                self.found |= sign
                self._add(searched, needle, at)
        self._find(fold_view, SCHEME, BEARER | BASIC)
        if fold_view.rfind(CARD_RUN) >= 0:
            self._find_numbers(text, fold_view)
        for sign, gate, pattern in PATTERNS:
            if gate in text and self._find(text, pattern, sign) and not sign:
                self.encoded = True
        self._find_colons(text, triggers)
        if triggers.equals is not None:
            if b"=" in text and self._find(text, triggers.equals, 0):
                self.named = True
            if triggers.element is not None and b"<" in text and self._find(text, triggers.element, 0):
                self.named = True
        self.rows = sorted(self._rows)

    def _add(self, text: bytes, needle: bytes, last: int) -> None:
        """Add the rows of ``text`` that hold ``needle``, whose last place is ``last``."""
        rows = self._rows
        row = text.count(b"\n", 0, last)
        at = last
        while True:
            rows.add(row)
            begin = text.rfind(b"\n", 0, at)
            if begin < 0:
                return
            at = text.rfind(needle, 0, begin)
            if at < 0:
                return
            row -= 1 + text.count(b"\n", at, begin)

    def _find(self, text: bytes, pattern: re.Pattern[bytes], sign: int) -> bool:
        """Add the rows in which ``pattern`` is found; returns whether there are any."""
        found = pattern.search(text)
        if found is None:
            return False
        self.found |= sign
        row = at = 0
        while found is not None:
            place = found.start()
            row += text.count(b"\n", at, place)
            self._rows.add(row)
            at = text.find(b"\n", place)
            if at < 0:
                break
            found = pattern.search(text, at)
        return True

    def _find_numbers(self, text: bytes, fold_view: bytes) -> None:
        """Add the rows with a run of digits that may be a card's number."""
        row = at = 0
        place = fold_view.find(CARD_RUN)
        while place >= 0:
            end, may_be = may_be_number(text, place)
            if may_be:
                self.found |= CARD
                row += text.count(b"\n", at, place)
                self._rows.add(row)
                at = text.find(b"\n", place)
                if at < 0:
                    return
                end = at
            place = fold_view.find(CARD_RUN, end)

    def _find_colons(self, text: bytes, triggers: Triggers) -> None:
        """Add the rows with a name before a colon or with an IPv6 address."""
        search = triggers.colon.search
        row = at = 0
        found = search(text)
        while found is not None:
            place = found.start()
            row += text.count(b"\n", at, place)
            self._rows.add(row)
            at = text.find(b"\n", place)
            end = len(text) if at < 0 else at
            # A row's other kind is looked for from the same place on.
            if found.lastindex is not None:
                self.named = True
                if not self.found & IPV6 and _ANCHOR.search(text, place, end) is not None:
                    self.found |= IPV6
            else:
                self.found |= IPV6
                if not self.named and triggers.name is not None and triggers.name.search(text, place, end) is not None:
                    self.named = True
            if at < 0:
                return
            found = search(text, at)
