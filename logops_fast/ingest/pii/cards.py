"""Payment card numbers: ``4111 1111 1111 1111`` becomes ``**** **** **** 1111``.

A number is a card's if a network issues numbers of its length that begin so (`NETWORKS`), and if it passes Luhn
(ISO/IEC 7812-1, annex B). It is written without a break, or as cards print it (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4).
Times, ticks and identifiers of other lengths or beginnings stay.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.folded import DIGIT, GAP, fold
from logops_fast.patterns import compile_possessive

NETWORKS: Final = (
    ("Visa", ((4, 4),), (13, 16, 19)),
    ("Mastercard", ((51, 55), (2221, 2720)), (16,)),
    ("American Express", ((34, 34), (37, 37)), (15,)),
    ("Diners Club", ((300, 305), (3095, 3095), (36, 36), (38, 39)), (14,)),
    ("Discover", ((6011, 6011), (644, 649), (65, 65)), (16, 19)),
    ("JCB", ((3528, 3589),), (16,)),
    ("UnionPay", ((62, 62),), (16, 19)),
    ("Mir", ((2200, 2204),), (16,)),
)
"""Network, the ranges that its numbers begin with, their lengths."""

_SHORTEST: Final = 13
_LONGEST: Final = 19
_PREFIX: Final = 4
_DIGITS: Final = b"0123456789"
_RUN: Final = DIGIT * _SHORTEST
_PARTED: Final = DIGIT * 4 + GAP + DIGIT * 4  # how each of the printed forms begins


def _lengths() -> dict[bytes, frozenset[int]]:
    """For each beginning of four digits that a network has, the lengths of its numbers."""
    out: dict[bytes, frozenset[int]] = {}
    for prefix in range(2000, 7000):
        text = str(prefix)
        lengths: set[int] = set()
        for _, ranges, numbers in NETWORKS:
            for low, high in ranges:
                if low <= int(text[: len(str(low))]) <= high:
                    lengths.update(numbers)
        if lengths:
            out[text.encode()] = frozenset(lengths)
    return out


LENGTHS: Final = _lengths()
_DIGIT_RUN: Final = re.compile(rb"[0-9]++")
# Between the groups: blanks (also the no-break ones), hyphens and dashes, `.` and `+`.
_SEPARATOR: Final = rb"(?:[ .+-]|\xc2\xa0|\xe2\x80[\x80-\x95\xaf])"
# The longest first; each is tried, since digits after a card may read as its last group.
_FORMS: Final = tuple(
    re.compile(form.replace(b"S", _SEPARATOR) + rb"(?![0-9])")
    for form in (
        rb"[0-9]{4}S[0-9]{4}S[0-9]{4}S[0-9]{4}S[0-9]{3}",
        rb"[0-9]{4}S[0-9]{4}S[0-9]{4}S[0-9]{1,4}",
        rb"[0-9]{4}S[0-9]{6}S[0-9]{4,5}",
    )
)
_LONGEST_WRITTEN: Final = _LONGEST + 4 * 3 + 1  # four separators of three bytes, and what follows
WIDE_SEPARATORS: Final = (
    (b"\xc2", re.compile(rb"\xc2(?=\xa0[0-9]{4})(?<=[0-9]{4}\xc2)")),
    (b"\xe2", re.compile(rb"\xe2(?=\x80[\x80-\x95\xaf][0-9]{4})(?<=[0-9]{4}\xe2)")),
)
"""The blanks and dashes of several bytes between two groups: how they begin, and a pattern that begins so."""
_NOT_DIGITS: Final = bytes(byte for byte in range(256) if byte not in _DIGITS)
_STARS: Final = bytes(0x2A if byte in _DIGITS else byte for byte in range(256))
# For Luhn: each digit's own value, and the digit sum of its double.
_VALUE: Final = bytes(byte - 0x30 if byte in _DIGITS else 0 for byte in range(256))
_DOUBLE: Final = bytes(sum(divmod(2 * (byte - 0x30), 10)) if byte in _DIGITS else 0 for byte in range(256))

# Hex letters next to the digits: a few on one side are a label (`cc4111...`) or a stray letter, otherwise it is an
# identifier in hex. These are the usual lengths of one, in digits: span id, ObjectId, trace id, SHA-1, SHA-256.
_HEX: Final = b"0123456789abcdefABCDEF"
_IDENTIFIERS: Final = frozenset((16, 24, 32, 40, 64))
_LABEL: Final = 6
_NEIGHBOURS: Final = 65
_BLOCK: Final = (b"blk_", b"blk_-")  # HDFS: an identifier, whatever its digits
_IN_STRING: Final = b" '=#*%\xfd"  # never right before a bare number: orjson writes no blanks
# The beginning of an array of scalars, in JSON text inside a string.
_ELEMENTS: Final = compile_possessive(
    rb"[ \xff\xfe]*+\[(?:[0-9.eE+\[\], \xff\xfe-]|\xfd[^\xfd\xfc\x22]*+\xfd|null|true|false)*+"
)
_JSON_TEXT_END: Final = re.compile(rb"[ \xff\xfe]*+[,}\]]")
_FRACTION: Final = re.compile(rb"(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_BEFORE_VALUE: Final = b" :[,\xff\xfe"
_MINUS: Final = 0x2D
_CONTEXT: Final = 16
_ARRAY_CONTEXT: Final = 512


def find_cards(text: bytes) -> list[Cut]:
    """The card numbers in neutral text, masked but for their last four digits.

    A bare JSON number that is a card number becomes a string.
    """
    folded = fold(text)
    spans: list[tuple[int, int]] = []
    if folded.rfind(_RUN) >= 0:
        spans = _whole(text, folded)
    starts = _group_starts(text, folded)
    if starts:
        spans += _parted(text, folded, starts)
        spans.sort()
    return _cuts(text, spans) if spans else []


def may_be_number(text: bytes, start: int) -> tuple[int, bool]:
    """Where the run of digits at ``start`` ends, and whether it may be a card's number by its digits."""
    end = _DIGIT_RUN.match(text, start).end()  # type: ignore[union-attr]  # a run begins here
    return end, end - start <= _LONGEST and _is_number(text[start:end])


def _whole(text: bytes, folded: bytes) -> list[tuple[int, int]]:
    """Spans of the numbers that are written in one."""
    spans = []
    known: dict[bytes, bool] = {}
    start = folded.find(_RUN)
    while start >= 0:
        end = _DIGIT_RUN.match(text, start).end()  # type: ignore[union-attr]  # a run begins here
        if end - start <= _LONGEST:
            digits = text[start:end]
            is_number = known.get(digits)
            if is_number is None:
                is_number = known[digits] = _is_number(digits)
            if is_number and _stands_alone(text, start, end):
                spans.append((start, end))
        start = folded.find(_RUN, end)
    return spans


def _group_starts(text: bytes, folded: bytes) -> list[int]:
    """Where four digits begin that a separator and four more follow, and that may be a card's first."""
    starts: list[int] = []
    if folded.rfind(_PARTED) >= 0:
        at = folded.find(_PARTED)
        while at >= 0:
            if text[at : at + 4] in LENGTHS:
                starts.append(at)
            at = folded.find(_PARTED, at + 5)  # the next group
    wide = [
        found.start() - 4
        for byte, pattern in WIDE_SEPARATORS
        if byte[0] in text
        for found in pattern.finditer(text)
        if text[found.start() - 4 : found.start()] in LENGTHS
    ]
    return sorted(starts + wide) if wide else starts


def _parted(text: bytes, folded: bytes, starts: list[int]) -> list[tuple[int, int]]:
    """Spans of the numbers that are written in groups.

    Four digits before a card may pass for its beginning by chance, so every group is tried as the first, and spans that
    overlap become one: else the card would be cut in two and its first digits left to be read.
    """
    spans: list[tuple[int, int]] = []
    known: dict[bytes, list[int]] = {}
    for start in starts:
        if folded[start - 1 : start] == DIGIT:
            continue
        written = text[start : start + _LONGEST_WRITTEN]
        lengths = known.get(written)
        if lengths is None:
            lengths = known[written] = _number_lengths(written)
        for length in lengths:
            end = start + length
            if _stands_alone(text, start, end):
                if spans and start < spans[-1][1]:
                    spans[-1] = (spans[-1][0], max(spans[-1][1], end))
                else:
                    spans.append((start, end))
                break
    return spans


def _number_lengths(written: bytes) -> list[int]:
    """How long the numbers are that a text begins with, one for each form that it fits, the longest first."""
    lengths = []
    for form in _FORMS:
        found = form.match(written)
        if found is not None and _is_number(found[0].translate(None, _NOT_DIGITS)):
            lengths.append(found.end())
    return lengths


def _is_number(digits: bytes) -> bool:
    """Whether a network issues such a number, and it passes Luhn."""
    lengths = LENGTHS.get(digits[:_PREFIX])
    if lengths is None or len(digits) not in lengths:
        return False
    return (sum(digits[-1::-2].translate(_VALUE)) + sum(digits[-2::-2].translate(_DOUBLE))) % 10 == 0


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    """Whether the number at ``start`` is no part of a fraction or of an identifier."""
    before = text[start - 1]
    if before == 0x2E and text[start - 2] in _DIGITS:  # the fraction of a number
        return False
    if before in b"xX" and text[start - 2] == 0x30:  # `0x4111...`, a number in hex
        return False
    if before in b"_-" and text[max(0, start - 5) : start].endswith(_BLOCK):
        return False
    after = text[end] if end < len(text) else 0
    if before not in _HEX and after not in _HEX:
        return True
    if after == 0x5E:  # track 1 of a magnetic stripe: %B4111...^NAME^
        return True
    head = text[max(0, start - _NEIGHBOURS) : start]
    tail = text[end : end + _NEIGHBOURS]
    left = head[len(head.rstrip(_HEX)) :]
    right = tail[: len(tail) - len(tail.lstrip(_HEX))]
    if (_goes_on(head[: len(head) - len(left)][-1:]) and left) or (
        _goes_on(tail[len(right) : len(right) + 1]) and right
    ):
        return True  # a word with other letters in it: a label
    if (left and right) or left.strip(b"abcdefABCDEF") or right.strip(b"abcdefABCDEF"):
        return False
    letters = len(left) + len(right)
    # Digits in groups are no identifier, however long they are with what parts them.
    return letters <= _LABEL and (letters + end - start not in _IDENTIFIERS or not text[start:end].isdigit())


def _goes_on(char: bytes) -> bool:
    return char.isalpha()


def _cuts(text: bytes, spans: list[tuple[int, int]]) -> list[Cut]:
    cuts: list[Cut] = []
    quotes = seen = 0
    for start, end in spans:
        kept = _last_four(text, end)
        mask = text[start:kept].translate(_STARS) + text[kept:end]
        before = text[start - 1]
        inside = before in _IN_STRING
        if not inside:
            quotes += text.count(b'"', seen, start)
            seen = start
            inside = quotes % 2 == 1
        if inside:
            # A bare number in JSON text becomes a string, so that the text stays JSON; a negative one is no card's.
            first = start - 1 if before == _MINUS else start
            if text[first - 1] in _BEFORE_VALUE:
                after = _FRACTION.match(text, end).end()  # type: ignore[union-attr]  # matches the empty string
                if _JSON_TEXT_END.match(text, after) is not None and _is_json(text, first):
                    if first < start or text[end:after].strip(b".0"):
                        continue
                    mask = b"\xfd" + mask + b"\xfd"
                    end = after
            cuts.append((start, end, mask))
            continue
        if before not in b":,[":  # the digits of a negative number, or of a fraction
            continue
        if text.startswith(b".0", end) and text[end + 2 : end + 3] in (b",", b"}", b"]"):
            end += 2
        elif text[end : end + 1] not in (b",", b"}", b"]"):
            continue
        cuts.append((start, end, b'"' + mask + b'"'))
    return cuts


def _is_json(text: bytes, start: int) -> bool:
    """Whether a number at ``start``, in a string, is a value of JSON text."""
    colon = text.rfind(b":", max(0, start - _ARRAY_CONTEXT), start)
    opening = text.rfind(b'"', max(0, colon, start - _ARRAY_CONTEXT), start)
    if opening >= 0:  # an array is the string's whole text; `[4111...]` alone is rather a number in brackets
        ends = text.find(b'"', start, start + _ARRAY_CONTEXT)
        return (
            ends > 0
            and text[ends - 1] == 0x5D
            and text.find(b",", opening, ends) >= 0
            and _ELEMENTS.fullmatch(text, opening + 1, start) is not None
        )
    if colon < 0 or not text[max(0, colon - _CONTEXT) : colon].rstrip(b" \xff\xfe").endswith(b"\xfd"):
        return False
    between = text[colon + 1 : start]
    return not between.strip(b" \xff\xfe") or (
        between.rstrip(b" \xff\xfe")[-1] in b"[," and _ELEMENTS.fullmatch(between) is not None
    )


def _last_four(text: bytes, end: int) -> int:
    """Where the last four digits before ``end`` begin."""
    if text[end - 4 : end].isdigit():
        return end - 4
    digits = 0
    while digits < 4:
        end -= 1
        digits += text[end] in _DIGITS
    return end
