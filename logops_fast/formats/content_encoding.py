"""Content-Encoding: gzip, zstd and deflate bodies, decoded under a cap on what comes out (RFC 9110, 8.4)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from logops_fast.errors import LogOpsError
from logops_fast.http.refusal import Refusal

if TYPE_CHECKING:
    import zstandard

GZIP_WBITS: Final = 31  # zlib: the largest window, gzip framing only
ZLIB_WBITS: Final = 15
RAW_WBITS: Final = -15
PIECE_BYTES: Final = 65536  # taken at once: bounds what zlib's `unused_data` copies for each member
MAX_MEMBERS: Final = 1024  # each member or frame costs a new decompressor; bgzip's 64 KiB blocks reach 64 MiB
ZSTD_WINDOW_BYTES: Final = 8 << 20  # RFC 9659: a zstd content coding never needs a larger window

_KNOWN: Final = (b"", b"identity", b"gzip", b"x-gzip", b"zstd", b"deflate")


class EncodingError(LogOpsError):
    """A body that cannot be decoded; ``refusal`` is the answer to give."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def supported(encoding: bytes) -> bool:
    """Whether ``decode`` knows the coding: one alone, any case."""
    return _coding(encoding) in _KNOWN


def decode(body: bytes, encoding: bytes | None, cap: int) -> bytes:
    """The body without its content coding, at most ``cap`` bytes.

    Codings: none, ``identity``, ``gzip`` (``x-gzip``; several members), ``zstd`` (several frames), ``deflate`` (in
    zlib's framing, as RFC 9110 has it, or raw, as many clients send it). An empty body stays empty under each. Memory
    stays under the cap and one block.

    Raises:
        EncodingError: 415 ``unsupported_encoding`` (an unknown coding, or several stacked), 413 ``too_large``
            (more than ``cap`` bytes come out), 400 ``malformed`` (corrupt, cut off, or followed by junk).
    """
    coding = _coding(encoding)
    if coding in (b"", b"identity"):
        if len(body) > cap:
            raise _too_large(cap)
        return body
    if coding in (b"gzip", b"x-gzip"):
        return _gunzip(body, cap) if body else b""
    if coding == b"zstd":
        return _unzstd(body, cap) if body else b""
    if coding == b"deflate":
        return _inflate(body, cap) if body else b""
    raise EncodingError(
        Refusal(
            415, "unsupported_encoding", "Content-Encoding may be gzip, zstd, deflate or identity, one of them alone."
        )
    )


def _coding(encoding: bytes | None) -> bytes:
    return encoding.strip().lower() if encoding else b""


def _gunzip(body: bytes, cap: int) -> bytes:
    view = memoryview(body)
    parts: list[bytes] = []
    room = cap
    position = 0
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(GZIP_WBITS)
        while not member.eof:
            piece = view[position : position + PIECE_BYTES]
            if not piece:
                raise _malformed("gzip", "it ends too early")
            try:
                part = member.decompress(piece, room + 1)
            except zlib.error:
                what = "something that is not gzip follows it" if position and not parts else "it is corrupt"
                raise _malformed("gzip", what) from None
            room -= len(part)
            if room < 0:
                raise _too_large(cap)
            # With output to spare zlib has taken the whole piece, save what lies behind the member's end.
            position += len(piece) - len(member.unused_data)
            parts.append(part)
        if position == len(body):
            return b"".join(parts)
    raise _malformed("gzip", f"it has more than {MAX_MEMBERS} members")


def _inflate(body: bytes, cap: int) -> bytes:
    # zlib's two bytes of header are a multiple of 31 and name the method 8; a raw stream rarely begins so, and is then
    # caught by the checksum or the rest of the header.
    framed = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    if framed:
        try:
            return _inflate_one(body, ZLIB_WBITS, cap)
        except zlib.error:
            pass
    try:
        return _inflate_one(body, RAW_WBITS, cap)
    except zlib.error:
        raise _malformed("deflate", "it is corrupt") from None


def _inflate_one(body: bytes, window: int, cap: int) -> bytes:
    """Return the one stream that the body is; zlib.error if it is corrupt."""
    stream = zlib.decompressobj(window)
    text = stream.decompress(body, cap + 1)
    if len(text) > cap:
        raise _too_large(cap)
    if not stream.eof:
        raise _malformed("deflate", "it ends too early")
    if stream.unused_data:
        raise _malformed("deflate", "something follows it")
    return text


def _unzstd(body: bytes, cap: int) -> bytes:
    import zstandard  # an idle worker need not hold it

    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    try:
        size = zstandard.frame_content_size(body)  # -1 where the header does not say
        if size > cap:
            raise _too_large(cap)
        if size > 0:
            try:
                # Writes into exactly `size` bytes: a header that lies is an error, not a bomb.
                return decompressor.decompress(body, allow_extra_data=False)
            except zstandard.ZstdError:
                pass  # several frames, or broken: told apart below
        # A decompressobj gives out whatever its input holds, so a reader counts first: past it the body is
        # known to fit. The reader alone would take a cut-off body for a whole one.
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            room = cap
            while piece := reader.read(PIECE_BYTES):
                room -= len(piece)
                if room < 0:
                    raise _too_large(cap)
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
