"""IP addresses: ``10.1.2.3`` becomes ``10.1.x.x``, ``2001:db8::7`` becomes ``2001:db8:x:x:x:x:x:x``.

Both patterns are anchored at what is rare, a dot and a colon, and look back over a fixed distance.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.strings import KeyWatch

_OCTET3: Final = rb"(?:[01][0-9][0-9]|2[0-4][0-9]|25[0-5])"
_OCTET: Final = rb"(?:" + _OCTET3 + rb"|[0-9][0-9]?)(?![0-9])"


def _octet_before() -> bytes:
    """Zero-width: an octet and a dot end here that do not go on to the left.

    Left of the octet stands no digit, no ``digit.`` (a longer dotted number), and no ``v`` that stands alone:
    ``v1.2.3.4`` is a version, ``dev1.2.3.4`` a name and an address. Any other letter is taken for a neighbour, not for
    a part. A look-behind has one width, so there is one for each length, and the usual neighbours come first.
    """
    octets = (rb"[0-9][0-9]", _OCTET3, rb"[0-9]")
    usual = [rb"(?<=[^0-9.vV]" + octet + rb"\.)" for octet in octets]
    rare = [
        rb"(?<=" + edge + octet + rb"\.)" for octet in octets for edge in (rb"[^0-9]\.", rb"[A-Za-z0-9\x80-\xf4][vV]")
    ]
    return rb"(?:" + b"|".join(usual + rare) + rb")"


# From the first dot on. What lies ahead is looked at first, and behind only where an address is nearly certain.
# Group 1 is the octet that stays. Group 2 is how the string around the address ends, where that is near: `"` for a
# value's; anything else is for `_IPV4_IN_KEY` to judge. The look ahead is short: many in one string stay linear.
_IPV4: Final = re.compile(
    rb"(\.(?=[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9])" + _octet_before() + _OCTET + rb")"
    rb"\." + _OCTET + rb"\." + _OCTET + rb'(?!\.[0-9])(?=[^"]{0,64}+("?:?))'
)
_IPV4_MASK: Final = b".x.x"
_IN_VALUE: Final = b'"'
# A masked address in a key. Each stretch is read once: it ends where the next mask could begin.
_IPV4_IN_KEY: Final = re.compile(rb'\.x\.x[^".]*+(?:\.(?!x\.x)[^".]*+)*+":')


def mask_ipv4(text: bytes) -> tuple[bytes, int, bool]:
    """Neutral text with its IPv4 addresses masked, how many there were, and whether one stood in a key."""
    # The text before, group 1, group 2, the text before the next... split and join stay in C; a second walk to find the
    # keys costs 9 us on 27 kB, and a group in the replacement of `sub` a Python call for each hit.
    pieces = _IPV4.split(text)
    hits = len(pieces) // 3
    if not hits:
        return text, 0, False
    ends = pieces[2::3]
    pieces[2::3] = [_IPV4_MASK] * hits
    text = b"".join(pieces)
    return text, hits, ends.count(_IN_VALUE) < hits and _IPV4_IN_KEY.search(text) is not None


_HEX: Final = b"0123456789abcdefABCDEF"
_HEX_COLON: Final = _HEX + b":"
# What every IPv6 address holds: `::`, or three whole groups between colons.
_ANCHOR: Final = re.compile(rb":[0-9a-fA-F]{0,4}+:(?:(?<=::)|[0-9a-fA-F]{1,4}+:[0-9a-fA-F]{1,4}+:)")
_RUN: Final = re.compile(rb"[0-9a-fA-F:]*+")
_DIGIT: Final = re.compile(rb"[0-9]")
# The IPv4 in the last 32 bits, masked already or not: `::ffff:10.1.2.3` is left to the mask of IPv4.
_IPV4_TAIL: Final = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}\.(?:[0-9]{1,3}\.[0-9]|x\.x)")
_NEIGHBOURS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_" + bytes(range(0x80, 0xF5))
_LONGEST_RUN: Final = 48  # 39 characters and a colon at either side, and some
_GROUPS: Final = 8
_LONGEST_GROUP: Final = 4


def mask_ipv6(text: bytes) -> tuple[bytes, int, bool]:
    """Neutral text with its IPv6 addresses masked, how many there were, and whether one stood in a key."""
    found = _ANCHOR.search(text)
    if found is None:
        return text, 0, False
    pieces: list[bytes] = []
    watch = KeyWatch(text)
    last = 0
    done = 0
    while found is not None:
        anchor = found.start()
        head = text[max(done, anchor - _LONGEST_RUN) : anchor]
        start = anchor - len(head) + len(head.rstrip(_HEX_COLON))
        done = _RUN.match(text, anchor).end()  # type: ignore[union-attr]  # matches the empty string
        if done - start <= _LONGEST_RUN:
            span = _address(text, start, done)
            if span is not None:
                begin, end, mask = span
                pieces.append(text[last:begin])
                pieces.append(mask)
                last = end
                watch.hit(end)
        found = _ANCHOR.search(text, done)
    if not pieces:
        return text, 0, False
    hits = len(pieces) // 2
    pieces.append(text[last:])
    return b"".join(pieces), hits, watch.in_key


def _address(text: bytes, start: int, end: int) -> tuple[int, int, bytes] | None:
    """Begin, end and mask of the address in the run of hex digits and colons, None where it is none."""
    glued = False
    if text[start] == 0x3A and text[start + 1] != 0x3A:  # `from:2001:db8::1`
        start += 1
    else:
        glued = text[start - 1 : start] in _NEIGHBOURS
    if text[end - 1] == 0x3A and text[end - 2] != 0x3A:  # `2001:db8::1: refused`
        end -= 1
    else:
        glued = glued or text[end : end + 1] in _NEIGHBOURS
    run = text[start:end]
    head, gap, tail = run.partition(b"::")
    groups = head.split(b":") if head else []
    rest = tail.split(b":") if tail else []
    count = len(groups) + len(rest)
    if not 0 < count < _GROUPS if gap else count != _GROUPS:
        return None
    lengths = list(map(len, groups + rest))
    if not min(lengths) or max(lengths) > _LONGEST_GROUP:
        return None
    # C++ and Rust paths (`std::fade`, `a::b`, `id::date`) are made of the same characters: an address next to a letter
    # has three groups or more, and one without a digit begins with a whole group of four.
    if glued and count < 3:
        return None
    if _DIGIT.search(run) is None and not (groups and len(groups[0]) == 4):
        return None
    if rest and text.startswith(b".", end) and _IPV4_TAIL.match(text, end - len(rest[-1])) is not None:
        return None
    if gap:
        groups += [b"0"] * (_GROUPS - count) + rest
    return start, end, groups[0] + b":" + groups[1] + b":x:x:x:x:x:x"
