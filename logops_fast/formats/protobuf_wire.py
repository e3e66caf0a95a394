"""Protobuf's wire format: fields read and written without a schema.

A message is a run of fields, each a tag (field number and wire type) and a value: a varint, eight bytes, four bytes, or
a length and as many bytes, which hold text, bytes or a message. Groups (wire types 3 and 4) are not used by any
message read here, and are refused. Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import Final

from logops_fast.errors import LogOpsError

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_LONGEST_VARINT: Final = 10
_MASK_64: Final = 0xFFFF_FFFF_FFFF_FFFF


class WireError(LogOpsError):
    """The bytes are not a protobuf message; the text says why and quotes none of them."""


def read_varint(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Return the unsigned 64-bit varint at ``pos`` and the position after it.

    Raises WireError if it does not end before ``end``, or is longer than ten bytes.
    """
    if pos < end and data[pos] < 0x80:  # nearly all: tags, and lengths under 128
        return data[pos], pos + 1
    value = 0
    shift = 0
    stop = min(end, pos + _LONGEST_VARINT)
    while pos < stop:
        byte = data[pos]
        pos += 1
        if byte < 0x80:
            return (value | byte << shift) & _MASK_64, pos
        value |= (byte & 0x7F) << shift
        shift += 7
    raise WireError("a varint is cut off" if pos == end else "a varint is longer than ten bytes")


def read_length(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Return the begin and the end of the bytes whose length is at ``pos``. Raises WireError."""
    length, pos = read_varint(data, pos, end)
    if length > end - pos:
        raise WireError("a length goes beyond the end")
    return pos, pos + length


def skip(data: bytes, wire_type: int, pos: int, end: int) -> int:
    """Return the position after a value that is not read. Raises WireError."""
    if wire_type == VARINT:
        return read_varint(data, pos, end)[1]
    if wire_type == BYTES:
        return read_length(data, pos, end)[1]
    size = 8 if wire_type == FIXED64 else 4 if wire_type == FIXED32 else 0
    if not size:
        raise WireError("a field has a wire type that is not used")
    if size > end - pos:
        raise WireError("a number is cut off")
    return pos + size


def signed(value: int) -> int:
    """Return an unsigned 64-bit varint as the int64 that it encodes (two's complement)."""
    return value - (1 << 64) if value >> 63 else value


def varint(value: int) -> bytes:
    """Return a whole number, of 0 to 2^64 - 1, as a varint."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def int_field(number: int, value: int) -> bytes:
    """Return a field that holds an unsigned whole number."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a field that holds text in UTF-8, bytes, or a message."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value
