"""Text as it reads once it is decoded: percent-encoding, JSON's escapes inside a string, HTML's references, colours.

``%3D203.0.113.77`` is an address after an ``=``, ``\\u003cbob@example.com`` one after a ``<``. The decoded copy is
what the patterns see; what they find is masked in the text as it came, whole escapes at a time, so that JSON text in a
string stays JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Final

from logops_fast.ingest.pii.cuts import Cut, replaced
from logops_fast.ingest.pii.escapes import BACKSLASH, NEWLINE, QUOTE, TAB
from logops_fast.patterns import compile_possessive

MOST_LEVELS: Final = 5
"""How often text is decoded at most: text in a JSON string, in a URL, in a JSON text, encoded twice."""

# 0xFC is a backslash, 0xFD a quote. `\x22` is nginx's.
# Not track 1 of a card's magnetic stripe, `%B4111...^NAME^...`, which begins like an encoded byte.
_PERCENT: Final = rb"%(?![Bb][0-9][0-9 ]{11,22}(?:\^|%(?:25)?5[Ee]))[0-9A-Fa-f]{2}"
# A row of backslashes is one.
_ESCAPE: Final = rb"\xfc(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[bfnrt/\xfd]|\xfc(?:\xfc\xfc)*+)"
_REFERENCE: Final = rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|lt|gt|amp|quot|apos|nbsp|commat);"
# A terminal's control sequence (ECMA-48, 5.4), such as a colour, parts words as a blank does: in `ESC[31mBearer` the
# `m` is no part of the word, and console loggers set colours between a name and its value.
_CONTROL: Final = rb"\x1b\[[0-9;:?]{0,32}[A-Za-z]"
_ENCODED: Final = compile_possessive(rb"(" + rb"|".join((_PERCENT, _ESCAPE, _REFERENCE, _CONTROL)) + rb")")
ENCODED_BY: Final = (
    (b"%", re.compile(_PERCENT)),
    (BACKSLASH, compile_possessive(_ESCAPE)),
    (b"&", re.compile(_REFERENCE)),
    (b"\x1b", re.compile(_CONTROL)),
)
"""A string with any of these is looked at closely: a byte, and the pattern that begins with it."""

_NEAR: Final = 16  # units
_SIGNS: Final = (b"%", BACKSLASH, b"&", b"\x1b")
_MAY_BE_TRACK: Final = re.compile(rb"(?:\A|%)[Bb][0-9][0-9 ]{11}")
# When to look a text's pieces up: it is of so many bytes, of which one in so many begins an encoded character, and
# of the first pieces only a few are different.
_LARGE: Final = 4096
_DENSE: Final = 16
_SAMPLE: Final = 256
_FEW: Final = 64
_QUOTE: Final = 0xFD
_LETTERS: Final[dict[bytes, bytes]] = {
    b"b": b"\xf6", b"f": b"\xf7", b"n": NEWLINE, b"r": b"\xf5", b"t": TAB, b"/": b"/", BACKSLASH: BACKSLASH,
    QUOTE: QUOTE,
}  # fmt: skip
_NAMED: Final[dict[bytes, bytes]] = {
    b"lt": b"<", b"gt": b">", b"amp": b"&", b"quot": QUOTE, b"apos": b"'", b"nbsp": b"\xc2\xa0", b"commat": b"@",
}  # fmt: skip
_OTHER: Final = "\u00aa".encode()  # what has no character of its own reads as some other letter
_NEUTRAL: Final[dict[int, bytes]] = {
    0x22: QUOTE, 0x5C: BACKSLASH, 0x0A: NEWLINE, 0x09: TAB, 0x0D: b"\xf5", 0x08: b"\xf6", 0x0C: b"\xf7",
}  # fmt: skip


def encoded_strings(text: bytes) -> list[tuple[int, int]]:
    """The spans of the strings of neutral text, without their quotes, that hold anything encoded."""
    spans: list[tuple[int, int]] = []
    several = False
    for sign, pattern in ENCODED_BY:
        if sign[0] not in text:
            continue
        several = several or bool(spans)
        found = pattern.search(text)
        while found is not None:
            place = found.start()
            start = text.rfind(b'"', 0, place) + 1
            end = text.find(b'"', place)
            if end < 0:
                end = len(text)
            spans.append((start, end))
            found = pattern.search(text, end)
    return sorted(set(spans)) if several else spans


class _Level:
    """A text and what it was decoded to, unit by unit: a stretch or an encoded character by turns."""

    __slots__ = ("_begins", "_begins_before", "_encoded")

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        self._begins: list[int] = []
        self._begins_before: list[int] = []

    def begins(self) -> tuple[list[int], list[int]]:
        """Where each unit begins in the two texts, and where the last one ends.

        Worked out when it is asked: of most texts nothing is cut at this level.
        """
        if not self._begins:
            encoded = _ENCODED.split(self._encoded)
            self._begins = list(accumulate(map(len, _decoded_units(encoded)), initial=0))
            self._begins_before = list(accumulate(map(len, encoded), initial=0))
        return self._begins, self._begins_before


class Decoded:
    """A decoded copy of a text, and where each place in it was."""

    __slots__ = ("_levels", "_source", "text")

    def __init__(self, source: bytes) -> None:
        self.text = source
        self._source = source
        self._levels: list[_Level] = []  # one for each time it was decoded

    def decode(self) -> bool:
        """Decode once more; False if there was nothing to decode."""
        text = self.text
        if not _may_be_encoded(text):
            return False
        decoded = _decoded_dense(text) if len(text) >= _LARGE else None
        if decoded is None:
            units = _ENCODED.split(text)
            if len(units) == 1:
                return False
            decoded = b"".join(_decoded_units(units))
        elif decoded == text:
            return False
        self._levels.append(_Level(text))
        self.text = decoded
        return True

    def start_of(self, place: int) -> int:
        """Where the character at ``place`` of the copy begins in the text as it came."""
        for level in reversed(self._levels):
            view, before = level.begins()
            unit = bisect_right(view, place) - 1
            # Even units are stretches, odd ones encoded characters; the last boundary is the end.
            place = before[unit] if unit % 2 else before[unit] + place - view[unit]
        return place

    def end_of(self, place: int) -> int:
        """Where the character before ``place`` of the copy ends in the text as it came."""
        for level in reversed(self._levels):
            view, before = level.begins()
            unit = bisect_left(view, place)
            if unit == len(view) or view[unit] != place:
                unit -= 1
                place = before[unit + 1] if unit % 2 else before[unit] + place - view[unit]
            else:
                place = before[unit]
        return place

    def originals(self, cuts: list[Cut]) -> list[Cut]:
        """The cuts of the copy, in order, as cuts of the text as it came."""
        masks = {cut[2] for cut in cuts}  # few, however many cuts
        if any(mask[0] == _QUOTE for mask in masks):
            cuts = cuts.copy()
            for number, (start, end, mask) in enumerate(cuts):
                if mask[0] == _QUOTE:
                    quote = self._quote_before(start)
                    cuts[number] = (start, end, quote + mask[1:-1] + quote)
        for level in reversed(self._levels):
            view, before = level.begins()
            cuts = _moved(cuts, view, before)
        return cuts

    def _quote_before(self, place: int) -> bytes:
        """The quote before ``place`` as the text came with it: ``\\"`` in JSON text that is part of JSON text."""
        at = self.text.rfind(QUOTE, 0, place)
        return self._source[self.start_of(at) : self.end_of(at + 1)] if at >= 0 else QUOTE


class Layers:
    """A text as it came, ``raw``, and as it reads, ``text``: decoded level by level, and masked in both."""

    __slots__ = ("_decoded", "_level", "raw", "text")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.text = raw
        self._level = 0
        # None after a replacement: to decode all of the text again costs most, and is seldom needed.
        self._decoded: Decoded | None = Decoded(raw)

    def decode(self) -> bool:
        """Decode once more; False if nothing is encoded, or it was decoded `MOST_LEVELS` times."""
        if self._level == MOST_LEVELS:
            return False
        if self._decoded is None and (not _may_be_encoded(self.text) or _ENCODED.search(self.text) is None):
            return False
        decoded = self._current()
        if not decoded.decode():
            return False
        self._level += 1
        self.text = decoded.text
        return True

    def replace(self, cuts: list[Cut]) -> bool:
        """Replace cuts of ``text`` in both; False if it read otherwise than it says, which is right from then on."""
        decoded = self._current()
        if decoded.text != self.text:
            self.text = decoded.text
            return False
        self.raw = replaced(self.raw, decoded.originals(cuts))
        self.text = replaced(self.text, cuts)
        self._decoded = None
        return True

    def masked(self, cuts: list[Cut]) -> bytes:
        """The text as it came with cuts of ``text`` replaced, as `replace` leaves it, which does more work."""
        decoded = self._current()
        return self.raw if decoded.text != self.text else replaced(self.raw, decoded.originals(cuts))

    def _current(self) -> Decoded:
        decoded = self._decoded
        if decoded is None:
            decoded = self._decoded = Decoded(self.raw)
            for _ in range(self._level):
                decoded.decode()
        return decoded


def _moved(cuts: list[Cut], view: list[int], before: list[int]) -> list[Cut]:
    """The cuts, in order, where they were before a text was decoded; see `Decoded` for the units.

    A cut that begins or ends in an encoded character takes all of it, and is left out if one before it has taken that.
    """
    out: list[Cut] = []
    add = out.append
    units = len(view)
    unit = reached = 0
    for start, end, mask in cuts:
        # The next cut is near: a search of all units takes twice as long, and one of some longer than three steps.
        stop = unit + 3
        while unit < stop and unit + 1 < units and view[unit + 1] <= start:
            unit += 1
        if unit == stop:
            near = unit + _NEAR
            unit = bisect_right(view, start, unit, near if near < units and view[near] > start else units) - 1
        finish = begin = before[unit] if unit & 1 else before[unit] + start - view[unit]
        if start < end <= view[unit + 1] and not unit & 1:  # the usual cut: in a stretch, which is as long in both
            finish = begin + end - start
        elif end > start:
            # The unit that the byte before the end is in: the end may be the boundary after it.
            last = unit
            if end > view[unit + 1]:
                near = unit + _NEAR
                last = bisect_left(view, end, unit, near if near < units and view[near] > end else units) - 1
            finish = before[last + 1] if last & 1 or view[last + 1] == end else before[last] + end - view[last]
        if begin >= reached:
            add((begin, finish, mask))
            reached = finish
    return out


def _may_be_encoded(text: bytes) -> bool:
    """Whether any byte is in the text that an encoded character begins with."""
    return 0x25 in text or 0xFC in text or 0x26 in text or 0x1B in text


def _decoded_units(units: list[bytes]) -> list[bytes]:
    """Units as `_ENCODED` splits a text, with the encoded characters, the odd ones, decoded."""
    encoded = units[1::2]
    known = {unit: _decoded(unit) for unit in set(encoded)}
    decoded = units.copy()
    decoded[1::2] = map(known.__getitem__, encoded)
    return decoded


def _decoded_text(text: bytes) -> bytes:
    return b"".join(_decoded_units(_ENCODED.split(text)))


def _decoded_dense(text: bytes) -> bytes | None:
    """A text that is made of a few pieces, each with an encoded character, decoded; None if it is no such text.

    To split it at a byte and look each piece up takes a third of what the pattern takes.
    """
    sign = max(_SIGNS, key=text.count)
    if text.count(sign) < len(text) // _DENSE or (BACKSLASH in text and BACKSLASH + BACKSLASH in text):
        return None
    pieces = text.split(sign)
    if len(set(pieces[:_SAMPLE])) > _FEW:
        return None
    known: dict[bytes, bytes] = {}
    for piece in set(pieces):
        # A card's track begins like an encoded byte, and its pattern is the one that looks beyond the next sign.
        if _MAY_BE_TRACK.search(piece) is not None:
            return None
        known[piece] = _decoded_text(sign + piece)
    # What is before the first sign is no piece, unless it is like one.
    return _decoded_text(pieces[0]) + b"".join(map(known.__getitem__, pieces[1:]))


def _decoded(sign: bytes) -> bytes:
    first = sign[0]
    if first == 0x25:
        return _byte(int(sign[1:], 16))
    if first == 0x1B:
        return b" "
    if first == 0x26:
        name = sign[1:-1]
        if name[:1] != b"#":
            return _NAMED[name]
        code = int(name[2:], 16) if name[1:2] in b"xX" else int(name[1:])
        return _char(code)
    kind = sign[1:2]
    if kind == BACKSLASH:
        return sign[: len(sign) // 2]
    if kind == b"u":
        return _char(int(sign[2:], 16))
    if kind == b"x":
        return _byte(int(sign[2:], 16))
    return _LETTERS[kind]


def _byte(code: int) -> bytes:
    if code in _NEUTRAL:
        return _NEUTRAL[code]
    return bytes((code,)) if code < 0xF5 and code not in (0xC0, 0xC1) else _OTHER


def _char(code: int) -> bytes:
    if code < 0x80:
        return _byte(code)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return _OTHER
    return chr(code).encode()
