"""Character sets of bodies: the ``charset`` parameter of Content-Type (RFC 9110, 8.3.2), and UTF-16's byte order mark.

Everything after this module is UTF-8.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.formats.content_encoding import EncodingError
from logops_fast.http.refusal import Refusal

UTF_8: Final = ""
"""The character set of a body that needs no work."""

_CODECS: Final = {
    UTF_8: "utf-8 utf8 us-ascii ascii ansi_x3.4-1968 iso-ir-6 csascii unicode-1-1-utf-8 utf-8-sig utf8mb4",
    "utf-16": "utf-16 utf16 unicode ucs-2 ucs2 iso-10646-ucs-2 csunicode",
    "utf-16-le": "utf-16le utf16le utf-16-le unicodefffe",
    "utf-16-be": "utf-16be utf16be utf-16-be unicodefeff",
    "latin-1": "iso-8859-1 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 iso-ir-100 latin1 latin-1 l1 cp819 ibm819 "
    "csisolatin1",
    "cp1252": "windows-1252 cp1252 cp-1252 x-cp1252 win-1252 1252 ansi",
}
_BY_ALIAS: Final = {alias: codec for codec, aliases in _CODECS.items() for alias in aliases.split()}

# A parameter's value is a token or a quoted string (RFC 9110, 5.6.6).
_CHARSET: Final = re.compile(
    rb";[ \t]*charset[ \t]*=[ \t]*(?:\"([^\"]{0,64})\"|'([^']{0,64})'|([^\s;\"']{0,64}))", re.I
)
_BOMS: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}

UNSUPPORTED_CHARSET: Final = Refusal(
    415,
    "unsupported_charset",
    "The charset may be utf-8, us-ascii, utf-16, iso-8859-1 or windows-1252: convert the body.",
)


def charset_of(content_type: bytes) -> str | None:
    """Return the codec that a Content-Type's charset names (UTF_8 if it names none), or None for an unknown one."""
    found = _CHARSET.search(content_type)
    if found is None:
        return UTF_8
    name = (found[1] or found[2] or found[3] or b"").strip().decode("ascii", "replace").lower()
    return _BY_ALIAS.get(name) if name else UTF_8


def has_utf16_mark(body: bytes) -> bool:
    """Return whether the body begins with a byte order mark of UTF-16, which decides whatever the charset says."""
    return body[:2] in _BOMS


def to_utf8(body: bytes, codec: str, cap: int) -> bytes:
    """Return the body as UTF-8, at most ``cap`` bytes, without a byte order mark. What cannot be read becomes U+FFFD.

    Raises EncodingError (413 ``too_large``) if more comes out.
    """
    by_mark = _BOMS.get(body[:2])
    if by_mark is not None:
        codec, body = by_mark, body[2:]
    elif codec == "utf-16":
        # RFC 2781 says big-endian, Windows writes little-endian: log text begins with ASCII, whose high byte is 0.
        codec = "utf-16-be" if body[:1] == b"\0" else "utf-16-le"
    if codec == UTF_8:
        return body
    # Half of a surrogate pair, too, becomes U+FFFD: UTF-8 has no place for it.
    text = body.decode(codec, "replace").encode("utf-8", "replace")
    if len(text) > cap:
        raise EncodingError(
            Refusal(413, "too_large", f"The body is larger than {cap} bytes as UTF-8; send smaller batches.")
        )
    return text
