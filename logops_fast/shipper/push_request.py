"""Loki's push request in protobuf, written by hand: three small messages.

Source: pkg/push/push.proto of grafana/loki. Written out, with field numbers::

    PushRequest      { repeated Stream streams = 1 }
    Stream           { string labels = 1; repeated Entry entries = 2 }
    Entry            { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3 }
    Timestamp        { int64 seconds = 1; int32 nanos = 2 }
    LabelPair        { string name = 1; string value = 2 }

An entry costs 1 us; the protobuf package's objects cost more than twice that, and are one more dependency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

SECOND: Final = 1_000_000_000  # ns

_TABLE: Final = tuple(
    bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(1 << 14)
)  # varints of one and two bytes: most lengths


def varint(number: int) -> bytes:
    """Return a number, not negative, as a base-128 varint."""
    if number < len(_TABLE):
        return _TABLE[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def pair_head(name: str) -> bytes:
    """Return the part of a pair of structured metadata that is the same for each value of a name."""
    key = name.encode()
    return b"\x0a%b%b\x12" % (varint(len(key)), key)


def pair_of(head: bytes, value: bytes) -> bytes:
    """Return a pair of structured metadata, from ``pair_head``, as a field of its entry."""
    size = len(value)
    length = len(head) + size + 1
    if length < 0x80:
        return b"\x1a%c%b%c%b" % (length, head, size, value)
    text = varint(size)
    return b"\x1a%b%b%b%b" % (varint(len(head) + len(text) + size), head, text, value)


def label_pair(name: str, value: str) -> bytes:
    """Return a pair of structured metadata as a field of its entry."""
    return pair_of(pair_head(name), value.encode("utf-8", "replace"))


def entry(ns: int, line: bytes, metadata: bytes) -> bytes:
    """Return an entry as a field of its stream. ``ns`` is its time in nanoseconds since 1970, and not negative.

    ``metadata`` are fields from ``label_pair``, one after another.
    """
    seconds, nanos = divmod(ns, SECOND)
    # Of a fixed width: a varint may end in groups of zero bits (encoding.proto: "base 128"), and this needs no loop.
    time = b"\x08%c%c%c%c%c\x10%c%c%c%c%c" % (
        seconds & 127 | 128, seconds >> 7 & 127 | 128, seconds >> 14 & 127 | 128, seconds >> 21 & 127 | 128,
        min(seconds >> 28, 127),  # the year 3058

        nanos & 127 | 128, nanos >> 7 & 127 | 128, nanos >> 14 & 127 | 128, nanos >> 21 & 127 | 128, nanos >> 28,
    )  # fmt: skip
    size = len(line)
    body = b"\x0a%c%b\x12%b%b%b" % (
        len(time),
        time,
        _TABLE[size] if size < 16384 else varint(size),
        line,
        metadata,
    )
    size = len(body)
    return b"\x12%b%b" % (_TABLE[size] if size < 16384 else varint(size), body)


def request(streams: Mapping[str, Sequence[bytes]]) -> bytes:
    """Return a push request: encoded entries by the text of their labels."""
    out: list[bytes] = []
    for labels, entries in streams.items():
        text = labels.encode()
        head = b"\x0a%b%b" % (varint(len(text)), text)
        out += (b"\x0a", varint(len(head) + sum(map(len, entries))), head, *entries)
    return b"".join(out)


def labels_text(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels as Loki writes them: sorted by name, values quoted as Go does, ``{a="b", c="d"}``."""
    return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in sorted(labels)) + "}"


def quoted(value: str) -> str:
    """Return a text as a quoted string that Loki's parser, Go's ``strconv.Unquote``, reads."""
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
