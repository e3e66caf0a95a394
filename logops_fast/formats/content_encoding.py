"""Content-Encoding: gzip, deflate and zstd bodies, decoded under a cap on what comes out (RFC 9110, 8.4)."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from logops_fast.errors import LogOpsError
from logops_fast.formats.steps import result_of
from logops_fast.http.refusal import Refusal

if TYPE_CHECKING:
    import zstandard

GZIP_WBITS: Final = 31  # zlib: the largest window, gzip framing only
ZLIB_WBITS: Final = 15  # with zlib's header
RAW_WBITS: Final = -15  # without any
PIECE_BYTES: Final = 65536  # taken at once: bounds what zlib's `unused_data` copies for each member
STEP_BYTES: Final = 1 << 20  # decoded in one step: 2 to 5 ms
MAX_MEMBERS: Final = 1024  # each member or frame costs a new decompressor; bgzip's 64 KiB blocks reach 64 MiB
ZSTD_WINDOW_BYTES: Final = 8 << 20  # RFC 9659: a zstd content coding never needs a larger window

_KNOWN: Final = (b"", b"identity", b"gzip", b"x-gzip", b"deflate", b"zstd")


class EncodingError(LogOpsError):
    """A body that cannot be decoded; ``refusal`` is the answer to give."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def supported(encoding: bytes) -> bool:
    """Return whether ``decode`` knows the coding: one alone, any case."""
    return _coding(encoding) in _KNOWN


def decode(body: bytes, encoding: bytes | None, cap: int) -> bytes:
    """Return the body without its content coding, at most ``cap`` bytes; see ``decoding``, whose steps it makes."""
    return result_of(decoding(body, encoding, cap))


def decoding(body: bytes, encoding: bytes | None, cap: int) -> Generator[None, None, bytes]:
    """Decode the body in steps of about a megabyte of what comes out; returns at most ``cap`` bytes.

    Codings: none, ``identity``, ``gzip`` (``x-gzip``; several members), ``deflate`` (with or without a zlib header),
    ``zstd`` (several frames). An empty body stays empty under each. Memory stays under the cap and one block.

    Raises EncodingError: 415 ``unsupported_encoding`` (an unknown coding, or several stacked), 413 ``too_large`` (more
    than ``cap`` bytes come out), 400 ``malformed`` (corrupt, cut off, or followed by junk).
    """
    coding = _coding(encoding)
    if coding in (b"", b"identity"):
        if len(body) > cap:
            raise _too_large(cap)
        return body
    if coding not in _KNOWN:
        raise EncodingError(
            Refusal(
                415,
                "unsupported_encoding",
                "Content-Encoding may be gzip, deflate, zstd or identity, one of them alone.",
            )
        )
    if not body:
        return b""
    if coding == b"zstd":
        return (yield from _unzstd(body, cap))
    if coding == b"deflate":
        # RFC 9110 means zlib's format; senders that write bare deflate data are as common (8.4.1.2).
        has_header = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return (yield from _inflate(body, cap, "deflate", ZLIB_WBITS if has_header else RAW_WBITS, 1))
    return (yield from _inflate(body, cap, "gzip", GZIP_WBITS, MAX_MEMBERS))


def _coding(encoding: bytes | None) -> bytes:
    return encoding.strip().lower() if encoding else b""


def _inflate(body: bytes, cap: int, coding: str, wbits: int, members: int) -> Generator[None, None, bytes]:
    view = memoryview(body)
    parts: list[bytes] = []
    room = cap
    position = 0
    made = 0
    for _ in range(members):
        member = zlib.decompressobj(wbits)
        while not member.eof:
            piece = view[position : position + PIECE_BYTES]
            if not piece:
                raise _malformed(coding, "it ends too early")
            try:
                part = member.decompress(piece, min(room, STEP_BYTES) + 1)
            except zlib.error:
                what = f"something that is not {coding} follows it" if position and not parts else "it is corrupt"
                raise _malformed(coding, what) from None
            room -= len(part)
            if room < 0:
                raise _too_large(cap)
            position += len(piece) - len(member.unused_data) - len(member.unconsumed_tail)
            parts.append(part)
            made += len(part)
            if made >= STEP_BYTES:
                made = 0
                yield
        if position == len(body):
            return b"".join(parts)
    if members == 1:
        raise _malformed(coding, f"something that is not {coding} follows it")
    raise _malformed(coding, f"it has more than {members} members")


def _unzstd(body: bytes, cap: int) -> Generator[None, None, bytes]:
    import zstandard  # an idle worker need not hold it

    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    try:
        size = zstandard.frame_content_size(body)  # -1 if the header does not say
        if size > cap:
            raise _too_large(cap)
        if size > STEP_BYTES:
            yield  # before a step that takes 1 ms for each megabyte
        if size > 0:
            try:
                # Writes into exactly `size` bytes: a header that lies is an error, not a bomb.
                return decompressor.decompress(body, allow_extra_data=False)
            except zstandard.ZstdError:
                pass  # several frames, or broken: told apart below
        # A decompressobj gives out whatever its input holds, so a reader counts first: past it the body is
        # known to fit. The reader alone would take a cut-off body for a whole one.
        made = 0
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            room = cap
            while piece := reader.read(PIECE_BYTES):
                room -= len(piece)
                if room < 0:
                    raise _too_large(cap)
                made += len(piece)
                if made >= STEP_BYTES:
                    made = 0
                    yield
        return _zstd_frames(decompressor, body)
    except zstandard.ZstdError:
        raise _malformed("zstd", "it is corrupt, or something that is not zstd follows it") from None


def _zstd_frames(decompressor: zstandard.ZstdDecompressor, body: bytes) -> bytes:
    parts: list[bytes] = []
    rest = body
    for _ in range(MAX_MEMBERS):
        frame = decompressor.decompressobj()
        parts.append(frame.decompress(rest))
        if not frame.eof:
            raise _malformed("zstd", "it ends too early")
        rest = frame.unused_data
        if not rest:
            return b"".join(parts)
    raise _malformed("zstd", f"it has more than {MAX_MEMBERS} frames")


def _too_large(cap: int) -> EncodingError:
    return EncodingError(
        Refusal(413, "too_large", f"The decompressed body is larger than {cap} bytes; send smaller batches.")
    )


def _malformed(coding: str, what: str) -> EncodingError:
    return EncodingError(Refusal(400, "malformed", f"The body is not valid {coding}: {what}."))
