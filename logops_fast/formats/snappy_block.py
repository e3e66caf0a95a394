"""Snappy's block format, in which senders of Loki and Prometheus compress: a length, then literals and copies.

Source: google/snappy, format_description.txt. The framed format of streams (framing_format.txt) is another one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from logops_fast.formats.content_encoding import EncodingError
from logops_fast.formats.steps import result_of
from logops_fast.http.refusal import Refusal

AT_ONCE: Final = 1 << 20
"""Compressed bytes up to which a block is decoded in one step: 2 ms as a rule, 13 ms if every element is tiny."""

STEP_BYTES: Final = 1 << 20
"""Decoded bytes over which the step of decoding them is one of its own."""

STEP_ELEMENTS: Final = 16_384
"""Literals and copies of a larger block that are decoded in one step."""

# An element of three bytes copies at most 64, the highest ratio of all elements.
_MOST_MADE: Final = 64
_OF_BYTES: Final = 3
_LITERAL: Final = 0
_COPY_1: Final = 1
_COPY_2: Final = 2
_LONG_LITERAL: Final = 60


def compress(data: bytes) -> bytes:
    """Return the data as one block."""
    from cramjam import snappy

    return bytes(snappy.compress_raw(data))


def decode(block: bytes, cap: int) -> bytes:
    """Return what a block holds, at most ``cap`` bytes; see ``decoding``, whose steps it makes."""
    return result_of(decoding(block, cap))


def decoding(block: bytes, cap: int) -> Generator[None, None, bytes]:
    """Decode a block in steps; an empty one stays empty. The declared length is checked before room is made for it.

    Raises EncodingError: 413 ``too_large`` (over ``cap`` bytes are declared), 400 ``malformed``.
    """
    if not block:
        return b""
    size, begin = _declared(block)
    if size > cap:
        raise EncodingError(
            Refusal(413, "too_large", f"The decompressed body is larger than {cap} bytes; send smaller batches.")
        )
    if size * _OF_BYTES > len(block) * _MOST_MADE:
        raise _malformed("it declares more than it can hold")
    if len(block) > AT_ONCE:
        return (yield from _decoding_long(block, begin, size))
    if size > STEP_BYTES:
        yield
    import cramjam  # an idle worker need not hold it

    try:
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        raise _malformed("it is corrupt or cut off") from None


def _declared(block: bytes) -> tuple[int, int]:
    """Return the length that the block declares (a varint of 32 bits), and where its elements begin."""
    size = 0
    for at in range(min(5, len(block))):
        size |= (block[at] & 0x7F) << 7 * at
        if block[at] < 0x80:
            if size >> 32:
                break
            return size, at + 1
    raise _malformed("it does not begin with a length")


def _decoding_long(block: bytes, pos: int, size: int) -> Generator[None, None, bytes]:
    # The library decodes a block in one go, and one of tiny elements takes it 130 ms for the largest body.
    made = bytearray()
    end = len(block)
    elements = 0
    while pos < end:
        tag = block[pos]
        pos += 1
        kind = tag & 3
        length = (tag >> 2) + 1
        if kind == _LITERAL:
            if length > _LONG_LITERAL:
                more = length - _LONG_LITERAL
                length = int.from_bytes(block[pos : pos + more], "little") + 1
                pos += more
            if length > end - pos or length > size - len(made):
                raise _malformed("it is corrupt or cut off")
            made += block[pos : pos + length]
            pos += length
        else:
            if kind == _COPY_1:
                length = (tag >> 2 & 7) + 4
                offset = tag >> 5 << 8 | int.from_bytes(block[pos : pos + 1], "little")
                pos += 1
            else:
                width = 2 if kind == _COPY_2 else 4
                offset = int.from_bytes(block[pos : pos + width], "little")
                pos += width
            first = len(made) - offset
            if not offset or first < 0 or pos > end or length > size - len(made):
                raise _malformed("it is corrupt or cut off")
            if offset >= length:
                made += made[first : first + length]
            else:  # a copy of what it is making: a run
                made += (made[first:] * (length // offset + 1))[:length]
        elements += 1
        if elements % STEP_ELEMENTS == 0:
            yield
    if len(made) != size:
        raise _malformed("it is cut off")
    return bytes(made)


def _malformed(what: str) -> EncodingError:
    return EncodingError(
        Refusal(400, "malformed", f"The body is not one snappy block: {what}. Loki's push takes protobuf in snappy.")
    )
