"""Payment card numbers: ``4111 1111 1111 1111`` becomes ``**** **** **** 1111``.

A card number has 13 to 19 digits, written in one or as cards print them (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4, parted by
single blanks or hyphens), begins as the networks' do (3 to 6, 2221 to 2720), and passes Luhn (ISO/IEC 7812-1, annex B).
So times in milliseconds or nanoseconds, which begin with 1, stay.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.folded import DIGIT, GAP, fold
from logops_fast.ingest.pii.strings import KeyWatch

_SHORTEST: Final = 13
_LONGEST: Final = 19

_DIGITS: Final = b"0123456789"
_RUN: Final = DIGIT * _SHORTEST
_PARTED: Final = DIGIT * 4 + GAP + DIGIT * 4  # how each of the printed forms begins

_DIGIT_RUN: Final = re.compile(rb"[0-9]++")
# The longest first; each is tried, since digits behind a card may read as its last group.
_FORMS: Final = tuple(
    re.compile(rb"[0-9]{4}[ -]" + form + rb"(?![0-9])")
    for form in (
        rb"[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,3}",
        rb"[0-9]{4}[ -][0-9]{4}[ -][0-9]{1,4}",
        rb"[0-9]{6}[ -][0-9]{4,5}",
    )
)
# As much of them as a mask of another kind leaves.
_PRINTED: Final = re.compile(rb"[2-6][0-9]{3}[ -](?:[0-9]{4}[ -][0-9]{4}[ -][0-9]|[0-9]{6}[ -][0-9]{4})")
_NOT_DIGITS: Final = b" -"
_STARS: Final = bytes(0x2A if byte in _DIGITS else byte for byte in range(256))
# For Luhn: each digit's own value, and the digit sum of its double.
_VALUE: Final = bytes(byte - 0x30 if byte in _DIGITS else 0 for byte in range(256))
_DOUBLE: Final = bytes(sum(divmod(2 * (byte - 0x30), 10)) if byte in _DIGITS else 0 for byte in range(256))

# Letters right next to the digits: a word of hex digits (a trace id) is no card, any other word may be its label.
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEX_LETTERS: Final = b"abcdefABCDEF"
_NEIGHBOURS: Final = 16  # how far the letters are looked at
_IN_STRING: Final = b' "=#'  # never right before a bare number: orjson writes no blanks


def may_hold_cards(text: bytes, folded: bytes) -> bool:
    """Whether `mask_cards` may find any in neutral text, before or after tokens and addresses in it are masked.

    ``folded`` is the text as `fold` makes it. Those masks join no digits, and what they leave of a number that they cut
    is its first three digits at most. So every run of four or more was there before, whole, and only the last group of
    a printed form may have been longer. What stands next to a number may change, and is not looked at.
    """
    start = folded.find(_RUN) if folded.rfind(_RUN) >= 0 else -1
    while start >= 0:
        end = _DIGIT_RUN.match(text, start).end()  # type: ignore[union-attr]  # a run begins here
        if end - start <= _LONGEST and _is_number(text[start:end]):
            return True
        start = folded.find(_RUN, end)
    start = folded.find(_PARTED) if folded.rfind(_PARTED) >= 0 else -1
    while start >= 0:
        if folded[start - 1 : start] != DIGIT and _PRINTED.match(text, start) is not None:
            return True
        start = folded.find(_PARTED, start + 5)  # the next group
    return False


def mask_cards(text: bytes) -> tuple[bytes, int, bool]:
    """Neutral text with its card numbers masked, how many there were, and whether one stood in a key.

    A bare JSON number that is a card number becomes a string.
    """
    folded = fold(text)
    spans = []
    if folded.rfind(_RUN) >= 0:
        spans = _whole(text, folded)
    if folded.rfind(_PARTED) >= 0:
        spans += _parted(text, folded)
        spans.sort()
    if not spans:
        return text, 0, False
    return _replace(text, spans)


def _whole(text: bytes, folded: bytes) -> list[tuple[int, int]]:
    """Spans of the numbers that are written in one."""
    spans = []
    start = folded.find(_RUN)
    while start >= 0:
        end = _DIGIT_RUN.match(text, start).end()  # type: ignore[union-attr]  # a run begins here
        if end - start <= _LONGEST and _is_card(text, start, end):
            spans.append((start, end))
        start = folded.find(_RUN, end)
    return spans


def _parted(text: bytes, folded: bytes) -> list[tuple[int, int]]:
    """Spans of the numbers that are written in groups.

    Four digits before a card may pass for its beginning by chance, so every group is tried as the first, and spans that
    overlap become one: else the card would be cut in two and its first digits left to be read.
    """
    spans: list[tuple[int, int]] = []
    start = folded.find(_PARTED)
    while start >= 0:
        if folded[start - 1 : start] != DIGIT:
            for form in _FORMS:
                found = form.match(text, start)
                if found is not None and _is_card(text, start, found.end()):
                    if spans and start < spans[-1][1]:
                        spans[-1] = (spans[-1][0], max(spans[-1][1], found.end()))
                    else:
                        spans.append((start, found.end()))
                    break
        start = folded.find(_PARTED, start + 5)  # the next group
    return spans


def _is_card(text: bytes, start: int, end: int) -> bool:
    if not _is_number(text[start:end].translate(None, _NOT_DIGITS)):
        return False
    if text[start - 1] == 0x2E and text[start - 2] in _DIGITS:  # the fraction of a number
        return False
    if not (text[start - 1 : start].isalpha() or text[end : end + 1].isalpha()):
        return True
    before = text[max(0, start - _NEIGHBOURS) : start]
    after = text[end : end + _NEIGHBOURS]
    letters = before[len(before.rstrip(_LETTERS)) :] + after[: len(after) - len(after.lstrip(_LETTERS))]
    return not letters or bool(letters.translate(None, _HEX_LETTERS))


def _is_number(digits: bytes) -> bool:
    first = digits[0]
    if not 0x33 <= first <= 0x36 and not (first == 0x32 and 2221 <= int(digits[:4]) <= 2720):
        return False
    if (sum(digits[-1::-2].translate(_VALUE)) + sum(digits[-2::-2].translate(_DOUBLE))) % 10:
        return False
    return len(digits) >= _SHORTEST


def _replace(text: bytes, spans: list[tuple[int, int]]) -> tuple[bytes, int, bool]:
    pieces: list[bytes] = []
    watch = KeyWatch(text)
    hits = last = quotes = seen = 0
    for start, end in spans:
        kept = _last_four(text, end)
        mask = text[start:kept].translate(_STARS) + text[kept:end]
        inside = text[start - 1] in _IN_STRING
        if not inside:
            quotes += text.count(b'"', seen, start)
            seen = start
            inside = quotes % 2 == 1
        if inside:
            watch.hit(end)
        else:
            if text[start - 1] not in b":,[":  # the digits of a negative number, or of a fraction
                continue
            if text.startswith(b".0", end) and text[end + 2 : end + 3] in (b",", b"}", b"]"):
                end += 2
            elif text[end : end + 1] not in (b",", b"}", b"]"):
                continue
            mask = b'"' + mask + b'"'
        pieces.append(text[last:start])
        pieces.append(mask)
        last = end
        hits += 1
    pieces.append(text[last:])
    return b"".join(pieces), hits, watch.in_key


def _last_four(text: bytes, end: int) -> int:
    """Where the last four digits before ``end`` begin."""
    if text[end - 4 : end].isdigit():
        return end - 4
    digits = 0
    while digits < 4:
        end -= 1
        digits += text[end] in _DIGITS
    return end
