"""What may be in a text, found out at little cost: text without names, separators and the like pays for this alone.

The questions are put to a copy in which they have few and long needles: letters are small, every digit is ``0``, and
what may separate the parts of a name or a number, or a name from its separator, is left out: ``"api-key" :`` and
``API_KEY=`` both read ``apikey:``. An answer of no is certain; one of yes only means that the kind's own pattern, which
knows what is next to it, has to look.

Measured on 28 kB of the bench's clean events: the copy 15 us, the needles 3 to 9 us each, the pattern for what is
anchored at a colon 37 us. A pattern with alternatives costs 30 ns at each of a thousand colons, three classes 8 ns.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.keyforms import CAPITAL_A, LONG_WORD, PRIVATE_KEY, SHAPE
from logops_fast.ingest.pii.names import ENDINGS, NameRules

# The last of these are bytes of the blanks and dashes beyond ASCII that may part the groups of a card's number.
_LEFT_OUT: Final = b" \"'`_-.+]\xfd\xff\xc2\xa0\xe2\xaf" + bytes(range(0x80, 0x96))
_COPY: Final = bytes.maketrans(
    b"123456789=>ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"000000000::abcdefghijklmnopqrstuvwxyz",
)
_PAD: Final = b"\x00" * 16  # so that a look-behind has something to look at
_CARD: Final = b"0" * 13
_GAP: Final = b"::"
_HEX: Final = b"0abcdef"
_GROUPS: Final = rb"[0a-f]{1,4}+:[0a-f]{1,4}+:"
_GROUPS_AT: Final = re.compile(rb":" + _GROUPS)
_CLASSES: Final = 3
_LONGEST: Final = 11  # `securitynumber` and OpenTelemetry's `severityNumber` differ there
_ANY: Final = bytes(range(256))

# The triggers of the kinds (`kinds`), a bit each.
KEY: Final = 1
URL: Final = 2
BEARER: Final = 4
BASIC: Final = 8
DIGEST: Final = 16
JWT: Final = 32
EMAIL: Final = 64
CARD: Final = 128
IPV4: Final = 256  # of any text: the pattern is anchored at a dot, and asks as cheaply as anything else
IPV6: Final = 512
FREQUENT: Final = EMAIL | IPV4
"""The kinds that are looked for in the whole text; the others in the lines that one of their triggers is in."""


class Triggers:
    """The pattern for what is anchored at a colon: the ends of the names that matter, and IPv6 addresses."""

    __slots__ = ("always_names", "pattern")

    def __init__(self, rules: NameRules) -> None:
        names = [_reduced(name) for name in (ENDINGS if rules.has_secrets else ())]
        self.always_names = False
        for name in rules.patterns:
            ending = re.split(r"[*?\]]", name)[-1]
            plain = ending.isascii() and ending.isprintable() and "\\" not in ending
            if plain and _reduced(ending):
                names.append(_reduced(ending))
            else:
                self.always_names = True  # any name may match: each is looked at
        self.pattern = _pattern(sorted(set(names)))


def _reduced(name: str) -> bytes:
    return name.encode().translate(_COPY, _LEFT_OUT)


def _pattern(names: list[bytes]) -> re.Pattern[bytes]:
    # Three places before the colon, each of which may hold part of a name or of an address.
    places = []
    for place in range(_CLASSES, 0, -1):
        letters = set(_HEX + b":")
        for name in names:
            letters |= set(name[-place : len(name) - place + 1] if len(name) >= place else _ANY)
        places.append(_class(bytes(sorted(letters))))
    # Most of what passes is no name: its last letters are asked for once, the first of them first.
    tails: dict[int, set[bytes]] = {}
    for name in names:
        if len(name) >= _CLASSES:
            tails.setdefault(name[-_CLASSES], set()).add(name[1 - _CLASSES :])
    ends = [
        re.escape(bytes((first,))) + b"(?:" + b"|".join(re.escape(tail) for tail in sorted(rest)) + b")"
        for first, rest in sorted(tails.items())
    ]
    whole: list[bytes] = []
    short: list[bytes] = []
    for width in range(1, _LONGEST + 1):
        same = sorted({name[-width:] for name in names if len(name[-_LONGEST:]) == width})
        if same:
            pattern = rb"(?<=(?:" + b"|".join(map(re.escape, same)) + rb"):)"
            (short if width < _CLASSES else whole).append(pattern)
    # Names first: `token:ab:cd:` is one, whatever else begins at the same colon.
    alternatives = [*short]
    if whole:
        alternatives.append(rb"(?<=(?:" + b"|".join(ends) + rb"):)(?:" + b"|".join(whole) + rb")")
    alternatives.append(_GROUPS)
    return re.compile(rb":(?<=" + b"".join(places) + rb":)(?:" + b"|".join(alternatives) + rb")")


def _class(chars: bytes) -> bytes:
    if len(chars) == len(_ANY):
        return rb"[\x00-\xff]"
    return b"[" + b"".join(re.escape(bytes((char,))) for char in chars) + b"]"


class _Lines:
    """Which line of a text a place is in. Found out at the first question: most texts have none."""

    __slots__ = ("_ends", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._ends: list[int] = []

    def at(self, place: int) -> int:
        """Return the number of the line that ``place`` is in."""
        if not self._ends:
            # A count of newlines before each place would cost 14 us on 22 kB, all of their places cost 9.
            self._ends = list(accumulate([len(line) + 1 for line in self._text.split(b"\n")]))
        return bisect_right(self._ends, place)

    def end(self, line: int) -> int:
        """Return where the line after ``line`` begins, which `at` has returned."""
        return self._ends[line]

    def add(self, lines: set[int], text: bytes, needle: bytes, last: int) -> None:
        """Add the numbers of the lines with ``needle``, whose last place is ``last``, in a copy of the same layout."""
        at = last
        while at >= 0:
            line = self.at(at)
            lines.add(line)
            at = text.rfind(needle, 0, self._ends[line - 1]) if line else -1


class Signs:
    """What a text may hold; computed once, before anything in it is masked.

    ``found`` has a bit for each kind's trigger. ``named_lines`` are the numbers of the lines, in order, that may hold a
    name that matters, ``every_line`` whether all may. ``rare_lines``: those that may hold a kind that is not FREQUENT.
    """

    __slots__ = ("every_line", "found", "named_lines", "rare_lines")

    def __init__(self, text: bytes, triggers: Triggers) -> None:
        copy = _PAD + text.translate(_COPY, _LEFT_OUT)
        found = IPV4
        # What was found: the copy, the needle, its last place.
        seen: list[tuple[bytes, bytes, int]] = []
        if b"@" in text:
            found |= EMAIL
            at = text.rfind(b"://")
            if at >= 0:
                found |= URL
                seen.append((text, b"://", at))
        at = copy.rfind(_CARD)
        if at >= 0:
            found |= CARD
            seen.append((copy, _CARD, at))
        at = copy.rfind(b"bearer")
        if at >= 0:
            found |= BEARER
            seen.append((copy, b"bearer", at))
        at = copy.rfind(b"basic")
        if at >= 0:
            found |= BASIC
            seen.append((copy, b"basic", at))
        if b"=" in text:
            at = copy.rfind(b"digest")
            if at >= 0:
                found |= DIGEST
                seen.append((copy, b"digest", at))
        shape = text.translate(SHAPE)
        at = shape.rfind(LONG_WORD)
        if at >= 0:
            found |= KEY | JWT
            seen.append((shape, LONG_WORD, at))
        key = CAPITAL_A.search(text) if b"A" in text else None
        if b"K" in text:
            at = text.rfind(PRIVATE_KEY)
            if at >= 0:
                found |= KEY
                seen.append((text, PRIVATE_KEY, at))
        if b"J" in text:
            at = text.rfind(b"eyJ")
            if at >= 0:
                found |= JWT
                seen.append((text, b"eyJ", at))
        at = copy.rfind(_GAP)
        if at >= 0:
            found |= IPV6
            seen.append((copy, _GAP, at))
        self.every_line = triggers.always_names
        self.named_lines: list[int] = []
        self.rare_lines: list[int] = []
        self.found = found
        anchor = triggers.pattern.search(copy)
        if seen or anchor is not None or key is not None:
            self._find_lines(text, copy, triggers, seen, key, anchor)

    def _find_lines(
        self,
        text: bytes,
        copy: bytes,
        triggers: Triggers,
        seen: list[tuple[bytes, bytes, int]],
        key: re.Match[bytes] | None,
        anchor: re.Match[bytes] | None,
    ) -> None:
        """Find the lines of all that was seen, and of what follows the first key and anchor."""
        rare: set[int] = set()
        copy_lines = _Lines(copy)
        text_lines = _Lines(text)
        for searched, needle, at in seen:
            (copy_lines if searched is copy else text_lines).add(rare, searched, needle, at)
        while key is not None:
            self.found |= KEY
            line = text_lines.at(key.start())
            rare.add(line)
            key = CAPITAL_A.search(text, text_lines.end(line))
        search = triggers.pattern.search
        while anchor is not None:
            end = anchor.end()
            line = copy_lines.at(anchor.start())
            is_name = end - anchor.start() == 1
            if not is_name or _GROUPS_AT.match(copy, end - 1) is not None:
                self.found |= IPV6
                rare.add(line)
            if is_name and (not self.named_lines or self.named_lines[-1] != line):
                self.named_lines.append(line)
            if is_name and self.found & IPV6 and line in rare:
                end = copy_lines.end(line)  # all is known of this line
            anchor = search(copy, end)
        self.rare_lines = sorted(rare)


class Excerpt:
    """Some lines of a text, next to each other, and where each was."""

    __slots__ = ("_moves", "_starts", "text")

    def __init__(self, text: bytes, lines: list[int]) -> None:
        self.text = text
        self._starts: list[int] = []
        self._moves: list[int] = []
        parts = text.split(b"\n")
        if 2 * len(lines) >= len(parts):
            return
        chosen: list[bytes] = []
        at = size = line = 0
        for number in lines:
            while line < number:
                at += len(parts[line]) + 1
                line += 1
            self._starts.append(size)
            self._moves.append(at - size)
            chosen.append(parts[number])
            size += len(parts[number]) + 1
        self.text = b"\n".join(chosen)

    def originals(self, cuts: list[Cut]) -> list[Cut]:
        """Return the cuts of the excerpt as cuts of the whole text."""
        if not self._starts:
            return cuts
        starts, moves = self._starts, self._moves
        out: list[Cut] = []
        for start, end, mask in cuts:
            move = moves[bisect_right(starts, start) - 1]
            out.append((start + move, end + move, mask))
        return out


def named_spans(text: bytes, signs: Signs) -> list[tuple[int, int]]:
    """Return the spans of the lines that may hold a name that matters; lines that follow each other as one span."""
    if signs.every_line:
        return [(0, len(text))]
    spans: list[tuple[int, int]] = []
    line = start = 0
    for number in signs.named_lines:
        while line < number:
            start = text.find(b"\n", start) + 1
            line += 1
        end = text.find(b"\n", start)
        if end < 0:
            end = len(text)
        if spans and spans[-1][1] + 1 == start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans
