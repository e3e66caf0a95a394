"""Cut a large JSON body into pieces of whole items, without building them and in bounded steps.

A cut is guessed and then verified: text from the start of an element up to the guess, put between brackets, is a JSON
array only if the guess is a boundary of the outer array, because a parser's state depends on nothing but the text it
has read. A guess inside a string or a nested array leaves something open. Where no guess holds, elements are taken one
at a time; an item over the limit is skipped by counting brackets, so that it is never parsed and nothing of it built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from logops_fast.formats.json_text import (
    BROKEN,
    TOO_DEEP,
    UNENDED,
    BrokenJsonError,
    count_array,
    elements,
    next_object,
    replace_lone_surrogates,
    skip_blanks,
    value_end,
    where,
)
from logops_fast.formats.pieces import NOTHING, PIECE_BYTES, PIECE_ITEMS, Piece, PieceKind, too_large

_SKIP_BYTES: Final = 65_536  # looked at in one step inside an item that is too large
_SKIPS_A_STEP: Final = 4
_CLOSE_BYTES: Final = 2048  # in which a value is known to end, before each of its brackets is looked at
_LONGEST_GAP: Final = 256  # bytes of white space between two elements that are looked for as a whole
_QUOTE: Final = 0x22
_COMMA: Final = 0x2C
_CLOSE: Final = 0x5D
_OBJECT: Final = 0x7B
_OPENING: Final = b"[{"

_STRING_REST: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[][{}]', re.DOTALL)
_SCALAR: Final = re.compile(rb"[^][{}\", \t\r\n]*")
_FIRST_KEY: Final = re.compile(rb'\{[ \t\r\n]*"[^"\\]{1,64}"[ \t\r\n]*:')
_BRACKETS: Final = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_DELTA: Final = tuple(1 if byte == ord("(") else -1 if byte == ord(")") else 0 for byte in range(256))


def json_pieces(text: bytes, limit: int, *, start: int = 0, stop: int | None = None) -> Iterator[Piece]:
    """Cut a JSON text, without a byte order mark and not blank, into pieces; items over ``limit`` bytes are not parsed.

    ``start`` is the position of the value to cut, ``stop`` the end of the text to look at. Each step looks at no more
    than a few hundred kilobytes.

    Raises BrokenJsonError, by a step, if the text is not an array, a value or a sequence of objects.
    """
    cutter = _Cutter(text[:stop] if stop is not None else text, limit)
    pos = skip_blanks(text, start)
    if text[pos : pos + 1] == b"[":
        return cutter.array(pos + 1)
    return cutter.sequence(pos) if text[pos : pos + 1] == b"{" else cutter.scalar(pos)


class _Cutter:
    """One text, and the window of it in which the ends of values are looked for."""

    __slots__ = ("_base", "_limit", "_mended", "_size", "_text", "_view", "_window")

    def __init__(self, text: bytes, limit: int) -> None:
        self._text = text
        self._size = len(text)
        self._limit = limit
        self._base = 0
        self._window = b""
        self._view = memoryview(b"")
        self._mended = False

    def array(self, pos: int) -> Iterator[Piece]:
        """Cut the array whose elements begin at ``pos``."""
        text, size = self._text, self._size
        pos = skip_blanks(text, pos)
        if pos < size and text[pos] == _CLOSE:
            self._check_nothing_follows(pos + 1)
            yield Piece(PieceKind.ITEMS, b"[]", 0)
            return
        span = min(PIECE_BYTES, self._limit)
        separator = self._separator(pos)
        while True:
            if size - pos <= span:
                last = b"[" + text[pos:]
                count = count_array(last)
                if count > 0:
                    yield from _small(last, count)
                    return
            elif separator:
                cut = text.rfind(separator, pos, pos + span)
                if cut > pos:
                    piece = b"[" + text[pos : cut + 1] + b"]"
                    count = count_array(piece)
                    if count > 0:
                        yield from _small(piece, count)
                        pos = text.index(b",", cut) + 1
                        continue
            # No guess, a wrong one, or something broken: one element at a time.
            begun = pos
            found: list[bytes] = []
            ended = False
            while len(found) < PIECE_ITEMS and pos - begun < span and not ended:
                pos = skip_blanks(text, pos)
                end = self._value_end(pos)
                if end == UNENDED:  # over the limit
                    if found:
                        yield _joined(found)
                        found = []
                    for end in self._skip(pos):
                        if end < 0:
                            yield NOTHING
                    if end - pos <= self._limit:
                        raise BrokenJsonError("it nests too deeply")
                    yield too_large(text, pos, end)
                    pos, ended = self._after(end)
                    begun = pos
                else:
                    found.append(self._value(pos, end))
                    pos, ended = self._after(end)
            if found:
                yield _joined(found)
            if ended:
                return

    def sequence(self, pos: int) -> Iterator[Piece]:
        """Cut objects one after another; text that is not JSON is one broken item up to the next object's line."""
        text, size = self._text, self._size
        first = pos
        whole = False
        found: list[bytes] = []
        held = 0
        while pos < size:
            kind = PieceKind.ITEMS
            try:
                end = self._value_end(pos)
            except BrokenJsonError:
                kind = PieceKind.BROKEN
                end = next_object(text, pos)
            if end == UNENDED:
                kind = PieceKind.TOO_LARGE
                try:
                    for end in self._skip(pos):
                        if end < 0:
                            yield NOTHING
                    if end - pos <= self._limit:
                        kind = PieceKind.BROKEN  # it nests too deeply
                except BrokenJsonError:
                    kind = PieceKind.BROKEN
                    end = next_object(text, pos)
            if found and (kind is not PieceKind.ITEMS or held > PIECE_BYTES or len(found) == PIECE_ITEMS):
                yield _joined(found)
                found, held = [], 0
            if kind is PieceKind.ITEMS:
                whole = True
                found.append(self._value(pos, end))
                held += end - pos
            else:
                whole = whole or kind is PieceKind.TOO_LARGE
                yield too_large(text, pos, end)._replace(kind=kind)
            pos = skip_blanks(text, end)
        if found:
            yield _joined(found)
        if not whole:
            raise BrokenJsonError(self._where(first))

    def scalar(self, pos: int) -> Iterator[Piece]:
        """Yield the one value that the body is."""
        end = self._value_end(pos)
        if end == UNENDED:
            for end in self._skip(pos):
                if end < 0:
                    yield NOTHING
            piece = too_large(self._text, pos, end)
        else:
            piece = _joined([self._value(pos, end)])
        self._check_nothing_follows(end)
        yield piece

    def _separator(self, pos: int) -> bytes:
        """Return what seems to stand between two elements: ``},`` and how the first one begins."""
        text = self._text
        if self._size - pos <= PIECE_BYTES:
            return b""
        key = _FIRST_KEY.match(text, pos)
        if key is None:
            return b""
        end = self._value_end(pos)
        if end < 0:
            return b"}," + key[0]
        closed = pos + len(text[pos:end].rstrip())
        following = skip_blanks(text, end + 1)
        return text[closed - 1 : min(following, closed + _LONGEST_GAP)] + key[0]

    def _value_end(self, pos: int) -> int:
        """Return the end of the value at ``pos``, or UNENDED if it is over the limit. Raises BrokenJsonError."""
        size, limit = self._size, self._limit
        if pos >= size:
            raise BrokenJsonError(self._where(pos))
        if not self._base <= pos < self._base + len(self._window):
            self._look(pos)
        while True:
            base, window = self._base, self._window
            stop = min(pos + limit + 1 - base, len(window))
            end = value_end(self._view, pos - base, stop)
            if end >= 0:
                if end < stop or base + end == size:
                    return base + end
                # It ends with what could be looked at: whole only if it is closed, or white space follows.
                value = window[pos - base : end].rstrip()
                if len(value) <= limit and (pos - base + len(value) < end or value[-1:] in (b"}", b"]", b'"')):
                    return pos + len(value)
            elif end == TOO_DEEP:
                return UNENDED  # its length can be found without the decoder
            if base != pos and base + stop < size and stop - (pos - base) <= limit:
                self._look(pos)  # it may end behind the window
                continue
            if not self._mended:
                self._mended = True
                replaced = replace_lone_surrogates(window)
                if replaced is not window:
                    self._window = replaced
                    self._view = memoryview(replaced)
                    continue
            if end == BROKEN or (base + stop >= size and size - pos <= limit):
                raise BrokenJsonError(self._where(pos))
            return UNENDED

    def _look(self, pos: int) -> None:
        """Move the window, which is as long as two values may be."""
        self._base = pos
        self._window = self._text[pos : pos + 2 * (self._limit + 1)]
        self._view = memoryview(self._window)
        self._mended = False

    def _value(self, pos: int, end: int) -> bytes:
        """Return the text of a value that was found in the window, with its surrogates replaced."""
        base = self._base
        return self._window[pos - base : end - base] if self._mended else self._text[pos:end]

    def _after(self, end: int) -> tuple[int, bool]:
        """Return where the next element begins, and whether there is none. Raises BrokenJsonError."""
        after = skip_blanks(self._text, end)
        if after < self._size:
            if self._text[after] == _COMMA:
                return after + 1, False
            if self._text[after] == _CLOSE:
                self._check_nothing_follows(after + 1)
                return after + 1, True
        raise BrokenJsonError(self._where(after))

    def _skip(self, pos: int) -> Iterator[int]:
        """Find the end of the value at ``pos``; -1 for each step, then the end. Raises BrokenJsonError if it has none.

        Only strings and brackets are told apart: what the brackets hold is not checked.
        """
        text, size = self._text, self._size
        first = text[pos]
        if first == _QUOTE:
            depth, in_string, at = 0, True, pos + 1
        elif first in _OPENING:
            depth, in_string, at = 1, False, pos + 1
        else:
            scalar = _SCALAR.match(text, pos)
            yield size if scalar is None else scalar.end()
            return
        steps = 0
        span = _SKIP_BYTES
        while at < size:
            stop = min(at + span, size)
            backslashes = stop - at - len(text[at:stop].rstrip(b"\\"))
            if backslashes % 2 and stop < size:
                stop += 1  # never between a backslash and what it escapes
            if in_string:
                rest = _STRING_REST.match(text, at, stop)
                at = stop if rest is None else rest.end()
                if at < stop:
                    at += 1
                    in_string = False
                    if depth == 0:
                        yield at
                        return
            else:
                # Without escapes, quotes are what divides strings from the rest.
                parts = text[at:stop].replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
                brackets = (
                    b"".join(parts[::2]).translate(_BRACKETS, _NO_BRACKETS).replace(b"()", b"").replace(b"()", b"")
                )
                closes = brackets.count(b")")
                if closes >= depth and depth + min(accumulate(map(_DELTA.__getitem__, brackets))) <= 0:
                    if span > _CLOSE_BYTES:
                        span = _CLOSE_BYTES  # it ends in one of these: 64 KiB of brackets one by one take 10 ms
                        yield -1
                        continue
                    yield self._close_of(at, stop, depth)
                    return
                depth += len(brackets) - 2 * closes
                in_string = len(parts) % 2 == 0
                at = stop
            steps += 1
            if span == _SKIP_BYTES and steps % _SKIPS_A_STEP == 0:
                yield -1
        raise BrokenJsonError(self._where(pos))

    def _close_of(self, at: int, stop: int, depth: int) -> int:
        for token in _TOKEN.finditer(self._text, at, stop):
            byte = token[0][0]
            if byte in _OPENING:
                depth += 1
            elif byte != _QUOTE:
                depth -= 1
                if depth == 0:
                    return token.end()
        raise BrokenJsonError(self._where(at))

    def _check_nothing_follows(self, pos: int) -> None:
        if skip_blanks(self._text, pos) < self._size:
            raise BrokenJsonError(self._where(pos))

    def _where(self, pos: int) -> str:
        if self._size <= PIECE_BYTES:
            return where(self._text)
        line = self._text.count(b"\n", 0, pos) + 1
        return f"line {line}, at or after byte {pos} of the body"


def _small(piece: bytes, count: int) -> Iterator[Piece]:
    """Cut a piece of many tiny elements further."""
    if count <= PIECE_ITEMS:
        yield Piece(PieceKind.ITEMS, piece, count)
        return
    raw = elements(piece)
    for at in range(0, count, PIECE_ITEMS):
        some = raw[at : at + PIECE_ITEMS]
        yield _joined(some)


def _joined(items: list[bytes]) -> Piece:
    return Piece(PieceKind.ITEMS, b"[" + b",".join(items) + b"]", len(items))
