"""Text as it reads once it is decoded: percent-encoding, JSON's escapes inside a string, HTML's character references.

``%3D203.0.113.77`` is an address after an ``=``, ``\\u003cbob@example.com`` one after a ``<``. The decoded copy is
what the patterns see; what they find is masked in the text as it came, whole escapes at a time, so that JSON text in a
string stays JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import Final

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.escapes import BACKSLASH, NEWLINE, QUOTE, TAB

MOST_LEVELS: Final = 5
"""How often text is decoded at most: text in a JSON string, in a URL, in a JSON text, encoded twice."""

# 0xFC is a backslash, 0xFD a quote. `\x22` is nginx's.
# Not track 1 of a card's magnetic stripe, `%B4111...^NAME^...`, which begins like an encoded byte.
_PERCENT: Final = rb"%(?![Bb][0-9][0-9 ]{11,22}(?:\^|%(?:25)?5[Ee]))[0-9A-Fa-f]{2}"
_ESCAPE: Final = rb"\xfc(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[bfnrt/\xfc\xfd])"
_REFERENCE: Final = rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|lt|gt|amp|quot|apos|nbsp|commat);"
_ENCODED: Final = re.compile(rb"(" + _PERCENT + rb"|" + _ESCAPE + rb"|" + _REFERENCE + rb")")
# A string with any of them is looked at closely; each begins with a literal, which a pattern skips to.
_SIGNS: Final = (
    (b"%", re.compile(_PERCENT)),
    (BACKSLASH, re.compile(_ESCAPE)),
    (b"&", re.compile(_REFERENCE)),
)

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
    for sign, pattern in _SIGNS:
        if sign not in text:
            continue
        found = pattern.search(text)
        while found is not None:
            start = text.rfind(b'"', 0, found.start()) + 1
            end = text.find(b'"', found.end())
            if end < 0:
                end = len(text)
            spans.append((start, end))
            found = pattern.search(text, end)
    return sorted(set(spans)) if spans else spans


class Decoded:
    """A decoded copy of a text, and where each place in it was."""

    __slots__ = ("_raw", "_source", "_view", "text", "whole")

    def __init__(self, raw: bytes) -> None:
        self.text = raw
        self._source = raw
        self.whole = len(raw)
        self._view = [0, len(raw)]  # where each unit begins in the copy: stretches and encoded characters
        self._raw = [0, len(raw)]  # and in the text as it came

    def decode(self) -> bool:
        """Decode once more; False if there was nothing to decode."""
        pieces = _ENCODED.split(self.text)
        if len(pieces) == 1:
            return False
        known: dict[bytes, bytes] = {}
        view: list[int] = []
        raw: list[int] = []
        at = out = 0
        for index, piece in enumerate(pieces):
            if index % 2:
                plain = known.get(piece)
                if plain is None:
                    plain = known[piece] = _decoded(piece)
                pieces[index] = plain
            else:
                plain = piece
            if plain or index % 2:
                view.append(out)
                raw.append(at)
            at += len(piece)
            out += len(plain)
        view.append(out)
        raw.append(at)
        self._view, self._raw = self._composed(view, raw)
        self.text = b"".join(pieces)
        return True

    def _composed(self, view: list[int], raw: list[int]) -> tuple[list[int], list[int]]:
        """The units of this decoding in terms of the text as it came: both old and new boundaries count."""
        if len(self._view) == 2:
            return view, raw
        # A boundary of the level before that lies inside a stretch of this one stays a boundary.
        bounds: dict[int, int] = dict(zip(view, (self.start_of(place) for place in raw), strict=True))
        for place, origin in zip(self._view, self._raw, strict=True):
            index = bisect_right(raw, place) - 1
            if index + 1 >= len(raw):
                continue
            if view[index + 1] - view[index] == raw[index + 1] - raw[index]:
                bounds.setdefault(view[index] + place - raw[index], origin)
        places = sorted(bounds)
        return places, [bounds[place] for place in places]

    def start_of(self, place: int) -> int:
        """Where the character at ``place`` of the copy begins in the text as it came."""
        index = bisect_right(self._view, place) - 1
        if index + 1 >= len(self._view):
            return self.whole
        offset = place - self._view[index]
        if offset and self._is_stretch(index):
            return self._raw[index] + offset
        return self._raw[index]

    def end_of(self, place: int) -> int:
        """Where the character before ``place`` of the copy ends in the text as it came."""
        index = bisect_left(self._view, place)
        if index < len(self._view) and self._view[index] == place:
            return self._raw[index]
        offset = place - self._view[index - 1]
        if self._is_stretch(index - 1):
            return self._raw[index - 1] + offset
        return self._raw[index]

    def _is_stretch(self, index: int) -> bool:
        return self._view[index + 1] - self._view[index] == self._raw[index + 1] - self._raw[index]

    def originals(self, cuts: list[Cut]) -> list[Cut]:
        """The cuts of the copy as cuts of the text as it came."""
        out: list[Cut] = []
        for start, end, mask in cuts:
            begin = self.start_of(start)
            finish = self.end_of(end)
            if mask[:1] == QUOTE:
                quote = self._quote_before(start)
                mask = quote + mask[1:-1] + quote
            if out and begin < out[-1][1]:
                continue
            out.append((begin, max(begin, finish), mask))
        return out

    def _quote_before(self, place: int) -> bytes:
        """The quote before ``place`` as the text came with it: ``\\"`` in JSON text that is part of JSON text."""
        at = self.text.rfind(QUOTE, 0, place)
        return self._source[self.start_of(at) : self.end_of(at + 1)] if at >= 0 else QUOTE


def _decoded(sign: bytes) -> bytes:
    first = sign[0]
    if first == 0x25:
        return _byte(int(sign[1:], 16))
    if first == 0x26:
        name = sign[1:-1]
        if name[:1] != b"#":
            return _NAMED[name]
        code = int(name[2:], 16) if name[1:2] in b"xX" else int(name[1:])
        return _char(code)
    kind = sign[1:2]
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
