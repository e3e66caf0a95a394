"""IPv6 addresses: ``2001:db8::7`` becomes ``2001:db8:x:x:x:x:x:x``.

The pattern is anchored at a colon. A run of hex digits and colons may hold more than an address: a label in front
(``node:2001:...``), a port behind (``...:39694``), as Java and HAProxy write them.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut

_HEX_COLON: Final = b"0123456789abcdefABCDEF:"
_HEX_COLONS: Final = frozenset(_HEX_COLON)  # as numbers: a look-up takes a third less than in bytes
# What every address holds: `::`, or three whole groups between colons. `1::` and `ab::1` (at most two digits on both
# sides, nothing else) are paths of C++ and Rust and are passed over here.
ANCHOR: Final = (
    rb":[0-9a-fA-F]{0,4}+:"
    rb"(?:(?<=::)(?!(?<=[^0-9a-fA-F:][0-9a-fA-F]::)[0-9a-fA-F]{0,2}(?![0-9a-fA-F:]))"
    rb"(?!(?<=[^0-9a-fA-F:][0-9a-fA-F]{2}::)[0-9a-fA-F]{0,2}(?![0-9a-fA-F:]))"
    rb"|[0-9a-fA-F]{1,4}+:[0-9a-fA-F]{1,4}+:)"
)
# From the first colon of what every address holds to the end of the run.
_RUN: Final = re.compile(rb":(?=" + ANCHOR[1:] + rb")[0-9a-fA-F:]*+")
_DIGITS: Final = b"0123456789"
# The IPv4 in the last 32 bits, masked already or not: `::ffff:10.1.2.3` is left to the mask of IPv4.
_IPV4_TAIL: Final = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}\.(?:[0-9]{1,3}\.[0-9]|x\.x)")
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_LONGEST_RUN: Final = 64  # 39 characters, a label and a port, and some
_GROUPS: Final = 8
_LONGEST_GROUP: Final = 4
_PAIR: Final = 2
_HIGHEST_PORT: Final = 65535
_LONGEST_PORT: Final = 5
_MASK: Final = b":x:x:x:x:x:x"

_DOT: Final = 0x2E

Span = tuple[int, int, bytes]
_NONE: Final = (0, 0, b"")


def find_ipv6(text: bytes) -> list[Cut]:
    """The IPv6 addresses in neutral text."""
    cuts: list[Cut] = []
    add = cuts.append
    # Logs name the same addresses again and again. Keys: the runs with their neighbours, of which neither is a hex
    # digit or a colon. The end is negative if an IPv4 address may be the last part.
    known: dict[bytes, Span] = {}
    for found in _RUN.finditer(text):
        start, done = found.span()
        key = text[start - 1 : done + 1] if start else b" " + text[: done + 1]
        span = known.get(key)
        if span is None:
            if text[start - 1] in _HEX_COLONS:
                head = text[max(0, start - _LONGEST_RUN) : start]
                start -= len(head) - len(head.rstrip(_HEX_COLON))
                key = text[start - 1 : done + 1] if start else b" " + text[: done + 1]
                span = known.get(key)
            if span is None:
                span = known[key] = _span_of(key)
        first, last, mask = span
        if last > 0:
            add((start + first, start + last, mask))
        elif last < 0 and _IPV4_TAIL.match(text, text.rfind(b":", start, done) + 1) is None:
            add((start + first, start - last, mask))
    return cuts


def _span_of(key: bytes) -> Span:
    """What is masked of a run; see `find_ipv6`."""
    address = _address_in(key)
    if address is None:
        return _NONE
    first, last, mask = address
    return (first, -last if key[-1] == _DOT and b"::" in key else last, mask)


def _address_in(key: bytes) -> Span | None:
    """The address in a run that is given with the byte before it and, if there is one, the byte after it."""
    run = key[1:] if key[-1] in _HEX_COLON else key[1:-1]
    if len(run) > _LONGEST_RUN:
        return None
    return _address(run, key[0] in _LETTERS, key[-1] in _LETTERS and len(run) < len(key) - 1)


def _address(run: bytes, before: bool, after: bool) -> Span | None:
    """Begin, end and mask of the address in a run; ``before`` and ``after``: a letter is next to it."""
    gaps = run.count(b"::")
    if b":::" in run:
        if not before:
            return None
        cut = run.find(b":::")  # `IPv6:::1`
        inner = _address(run[cut + 1 :], False, after)
        return None if inner is None or run[cut + 1 :] != b"::1" else (cut + 1 + inner[0], cut + 1 + inner[1], inner[2])
    if gaps == 0:
        return _full(run, before)
    if gaps == 2 and (run.startswith(b"::") or before):  # `label::2001:db8::1`
        cut = run.find(b"::") + 2
        inner = _address(run[cut:], False, after)
        return None if inner is None else (cut + inner[0], cut + inner[1], inner[2])
    if gaps > 1:
        return None
    return _short(run, before, after)


def _full(run: bytes, before: bool) -> Span | None:
    """An address of eight groups, perhaps with a label before and a port behind."""
    groups = run.split(b":")
    # A label ends, or a port begins, where a group is none.
    best: Span | None = None
    at = 0
    first = 0
    for index in range(len(groups) + 1):
        if index < len(groups) and 0 < len(groups[index]) <= _LONGEST_GROUP:
            continue
        segment = groups[first:index]
        if len(segment) >= _GROUPS:
            glued = before and first == 0
            span = _eight(segment, glued)
            if span is not None:
                best = (at + span[0], at + span[1], span[2])
                break
        at += sum(map(len, groups[first : index + 1])) + index + 1 - first
        first = index + 1
    return best


def _eight(groups: list[bytes], glued: bool) -> Span | None:
    """The eight groups in a row of eight or more that are the address."""
    pairs = sum(len(group) == _PAIR for group in groups)
    if all(len(group) <= _PAIR for group in groups) and pairs and (len(groups) > _GROUPS + 1 or pairs >= _GROUPS - 1):
        return None  # a World Wide Name, EUI-64, fingerprint: pairs of digits
    spare = len(groups) - _GROUPS
    begin = min(1 if glued and spare else 0, spare)
    if spare > begin and len(groups[begin]) < 3:  # addresses begin with a group of four; a shorter one is a label
        longer = next((index for index in range(begin, spare + 1) if len(groups[index]) > _PAIR), begin)
        begin = longer
    end = begin + _GROUPS
    if end < len(groups) and not (len(groups) - end == 1 and _is_port(groups[end])):
        end = len(groups)
    start_at = sum(map(len, groups[:begin])) + begin
    end_at = sum(map(len, groups[:end])) + end - 1
    return (start_at, end_at, groups[begin] + b":" + groups[begin + 1] + _MASK)


def _short(run: bytes, before: bool, after: bool) -> Span | None:
    """An address with a gap."""
    start = 0
    end = len(run)
    if run.startswith(b":") and not run.startswith(b"::"):
        start, before = 1, False
    if run.endswith(b":") and not run.endswith(b"::"):  # `2001:db8::1: refused`
        end, after = end - 1, False
    head, _, tail = run[start:end].partition(b"::")
    left = head.split(b":") if head else []
    right = tail.split(b":") if tail else []
    # Groups that are too long are a label or a port; what is glued to a letter may be part of a label.
    while left and not 0 < len(left[0]) <= _LONGEST_GROUP:
        start += len(left.pop(0)) + 1
        before = False
    if before and len(left) > 1 and (len(left[1]) > _PAIR or len(left) + len(right) >= _GROUPS):
        start += len(left.pop(0)) + 1
        before = False
    while right and not 0 < len(right[-1]) <= _LONGEST_GROUP:
        end -= len(right.pop()) + 1
        after = False
    while len(left) + len(right) >= _GROUPS:
        if right and _is_port(right[-1]):
            end -= len(right.pop()) + 1
            after = False
        elif left:
            start += len(left.pop(0)) + 1
            before = False
        else:
            return None
    groups = left + right
    count = len(groups)
    if not count or (((before and start == 0) or (after and end == len(run))) and count < 3):
        return None
    if not all(0 < len(group) <= _LONGEST_GROUP for group in groups):
        return None
    digit = any(group.strip(b"abcdefABCDEF") for group in groups)
    if left and all(len(group) <= _PAIR for group in groups):
        return None
    # `std::fade`, `id::date` are made of the same characters: without a digit it begins with a whole group of four.
    if not digit and not (left and len(left[0]) == _LONGEST_GROUP):
        return None
    groups = left + [b"0"] * (_GROUPS - count) + right
    return (start, end, groups[0] + b":" + groups[1] + _MASK)


def _is_port(group: bytes) -> bool:
    return not group.strip(_DIGITS) and len(group) <= _LONGEST_PORT and int(group) <= _HIGHEST_PORT
