"""E-mail addresses: ``alice@example.com`` becomes ``a***@example.com``.

The text is walked from ``@`` to ``@``: what stands between two belongs to one address's domain and the next one's local
part, so the work is linear whatever the text is made of (a pattern that starts with its open local part costs 10 s on
100 kB of letters).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.walk import places

# Letters first: strip() looks each byte up in this order. Any byte of a non-ASCII character belongs to a word (EAI,
# RFC 6531); 0xF5 and above are never UTF-8 (see `escapes`).
_NON_ASCII: Final = bytes(range(0x80, 0xF5))
_WORD: Final = b"etaoinsrhldcumfpgwybvkxjqzETAOINSRHLDCUMFPGWYBVKXJQZ0123456789_" + _NON_ASCII
# RFC 5322 atext and the dot, without what parts key from value or path from name in a log line: = / ? & { } | `
_LOCAL: Final = _WORD + b".-+%'!#$^~"
_LOCAL_MARKS: Final = b".-+%'!#$^~"
# All of atext: for the odd address whose local part ends in one of those.
_ODD: Final = b"=/?&{}|`*"
_WIDE: Final = _LOCAL + _ODD

# The domain: labels, then a top level that begins as one does, or an address literal. Not a version (`lodash@4.17.21`,
# `example@1.2.3.tar.gz`, `checkout@v4.1`), a unit of systemd (`user@1000.service`) or a scaled image (`logo@2x.png`).
_LABEL: Final = rb"[A-Za-z0-9_\x80-\xf4-]"
_REST: Final = _LABEL + rb"*+\.(?:" + _LABEL + rb"++\.)*(?:[A-Za-z]{2}|[\x80-\xf4]{2})"
# No group is possessive, so that `re` may match it on any version (see `patterns`).
# Most domains first: no label that is short or begins with `v`, and a top level that no other text follows.
_DOMAIN: Final = re.compile(
    rb"@(?:(?:[a-uw-z][a-z0-9-]++\.)+(?:com|org|net|edu|gov|io|de|uk|fr|nl|example)(?![A-Za-z0-9_.:\\\xfc-])"
    rb"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9_.:\\\xfc-])"
    rb"|(?![A-Za-z0-9_.:\\\xfc-]*\.(?:service|socket|device|mount|automount|swap|target|path|timer|slice|scope)"
    rb"(?![A-Za-z0-9_-]|\.(?!d(?![A-Za-z0-9_-]))[A-Za-z0-9]))"
    rb"(?:[A-UW-Za-uw-z_\x80-\xf4-]" + _REST + rb"|(?=[vV0-9])(?![vV]?+[0-9]++\.[0-9]++(?:\.[0-9]++|(?!\.[0-9]))[.-]"
    rb"(?![0-9]++(?![0-9A-Za-z._-]))|[1-9]x\.(?:png|jpe?g|gif|webp|svg)\b)[vV0-9]" + _REST + rb""
    rb"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])"
    rb"|\[(?:IPv6:|[0-9]{1,3}\.[0-9]{1,3}\.)))"
)
_MASK: Final = b"***"
_USUAL: Final = 48
_LEADING: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_QUOTE: Final = 0xFD
_REMEMBERED: Final = 512
_LONGEST_QUOTED: Final = 64  # RFC 5321, 4.5.3.1.1


def find_emails(text: bytes) -> list[Cut]:
    """The local parts, but for their first character, of the addresses in neutral text."""
    cuts: list[Cut] = []
    short: dict[bytes, int] = {}
    sizes: dict[bytes, int] = {}
    quoted: dict[bytes, tuple[int, int]] = {}
    begin = 0
    for sign in places(text, b"@", _DOMAIN):
        # Most local parts are short, and then so is what decides.
        start = sign - 16
        if start >= begin:
            near = text[start:sign]
            size = short.get(near, -3)
            if size == -3:
                size = _usual_size(near, 16)
                if len(short) < _REMEMBERED:
                    short[near] = size
            if size >= 0:
                cuts.append((sign - size, sign, _MASK))
                begin = sign + 1
                continue
        start = sign - _USUAL
        if start < begin:
            start = begin
        tail = text[start:sign]
        size = sizes.get(tail, -3)
        if size == -3:
            size = _masked_size(tail)
            if len(sizes) < _REMEMBERED:
                sizes[tail] = size
        if size == -2:
            if text[sign - 1] == _QUOTE:
                # All that is read of the text, and a byte more if it begins where the address before ended.
                start = max(begin, sign - _LONGEST_QUOTED - 2)
                window = text[start - 1 : sign] if start else b""
                span = quoted.get(window)
                if span is None:
                    kept, end = _quoted(text, begin, sign)
                    span = (kept - sign, end - sign) if kept >= 0 else (0, 0)
                    if window and len(quoted) < _REMEMBERED:
                        quoted[window] = span
                if span[0]:
                    cuts.append((sign + span[0], sign + span[1], _MASK))
                continue
            # No local part goes beyond the sign before, which is not in the tail.
            left = max(begin, text.rfind(b"@", begin, start) + 1)
            kept = _kept(text[left:sign])
            size = -1 if kept < 0 else sign - left - kept
        if size >= 0:
            cuts.append((sign - size, sign, _MASK))
            begin = sign + 1
    return cuts


def _masked_size(tail: bytes) -> int:
    """How many bytes at the end of ``tail``, which is followed by an ``@``, are masked; -1 if there is nothing to mask.

    -2 if more must be seen: ``tail`` ends with a quote, or is of `_USUAL` bytes and no ``@`` parts them. A shorter one
    begins where the address before ended.
    """
    size = _usual_size(tail, _USUAL)
    if size >= 0:
        return size
    left = tail.rfind(b"@") + 1
    if tail[-1:] == b"\xfd" or (left == 0 and len(tail) >= _USUAL):
        return -2
    kept = _kept(tail[left:])
    return -1 if kept < 0 else len(tail) - left - kept


def _usual_size(tail: bytes, limit: int) -> int:
    """As `_masked_size`, if the local part is under ``limit`` bytes, ASCII, and led by what the mask keeps; else -1."""
    size = len(tail) - len(tail.rstrip(_LOCAL))
    if 0 < size < limit and tail[-size] in _LEADING and tail[-size:].isascii():
        return size - 1
    return -1


def _quoted(text: bytes, left: int, sign: int) -> tuple[int, int]:
    """What to mask of the quoted local part (RFC 5321, 4.1.2) that ends before ``sign``; -1 if there is none.

    ``","@example.com"`` in JSON text is two strings: before a local part's own opening quote is no word, and another
    quote only if the local part begins a string (``"\\"carol\\"@example.com"``).
    """
    opening = text.rfind(b"\xfd", max(left, sign - _LONGEST_QUOTED - 2), sign - 1)
    word = text[opening + 1 : sign - 1]
    if opening < 0 or not word or 0x22 in word:
        return -1, -1
    before = text[opening - 1]
    if before in _WORD or word.strip(b" ,:;") == b"":
        return -1, -1
    if before == _QUOTE and any(mark in word for mark in (b",", b":", b"{", b"}", b"[", b"]")):
        return -1, -1
    if word.endswith(_MASK) and len(word) <= len(_MASK) + 4:
        return -1, -1
    return opening + 1 + _first_length(word), sign - 1


def _kept(left: bytes) -> int:
    """How much of ``left``, which ends right before an ``@``, stays before the mask; -1 where there is none to make."""
    end = len(left)
    start = len(left.rstrip(_LOCAL))
    if start == end:
        if left.endswith(_MASK) and _is_masked(left[:-3]):
            return -1
        start = len(left.rstrip(_WIDE))
        if start == end:
            return -1
        # As much of it as reads as a word: what stands before an `=` or a `/` in it stays readable.
        start = len(left.rstrip(_ODD).rstrip(_LOCAL))
    local = left[start:]
    if not local.isascii():
        start += _word_start(local)
        if start == end:
            return -1
    word = left[start:].lstrip(_LOCAL_MARKS)
    if not word:
        return start
    return end - len(word) + _first_length(word)


def _is_masked(head: bytes) -> bool:
    """Whether ``head``, which is followed by ``***@``, ends in what a mask keeps: one character of the local part."""
    local = head[len(head.rstrip(_LOCAL)) :]
    if not local.isascii():
        local = local[_word_start(local) :]
    word = local.lstrip(_LOCAL_MARKS)
    return len(word) <= 1 or len(word) == _first_length(word)


def _first_length(text: bytes) -> int:
    """Bytes of the first UTF-8 character."""
    first = text[0]
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _word_start(local: bytes) -> int:
    """Where the local part begins in a run with non-ASCII characters: after the last blank, bracket, quote or stop."""
    text = local.decode("utf-8", "surrogateescape")
    for index in range(len(text) - 1, -1, -1):
        char = text[index]
        if char > "\x7f" and unicodedata.category(char) in ("Zs", "Zl", "Zp", "Ps", "Pe", "Pi", "Pf", "Po", "Cc"):
            return len(text[: index + 1].encode("utf-8", "surrogateescape"))
    return 0
