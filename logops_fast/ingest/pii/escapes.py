"""JSON escapes replaced by single bytes before a pattern looks at serialised text, and restored afterwards.

orjson writes every character but ``"``, ``\\`` and the control characters as itself. In the escapes of those, a
letter follows the backslash: ``\\t10.1.2.3`` reads as ``t10.1.2.3`` and ``\\u0001bob@x.example`` as ``u0001bob@...``.
So each escape becomes one byte that UTF-8 never uses (the few ``\\u00XX``: the raw control byte, which JSON text
never holds). A pattern sees one character where there is one character, and since an escaped quote is no ``"`` any
more, the strings of a line are exactly what is between two quotes.
"""

from __future__ import annotations

from typing import Final

BACKSLASH: Final = b"\xfc"
QUOTE: Final = b"\xfd"
NEWLINE: Final = b"\xfe"
TAB: Final = b"\xff"

# Bytes that UTF-8 never uses either, and that no mask touches: the normaliser uses them as placeholders.
PLACES: Final = (b"\xf8", b"\xf9", b"\xfa", b"\xfb")

_ESCAPE: Final = b"\\"
_PAIR: Final = b"\\\\"
_DENSE: Final = 24  # bytes an escape, of text in which escapes are many
_SHORT: Final[dict[int, bytes]] = {
    ord('"'): QUOTE,
    ord("n"): NEWLINE,
    ord("t"): TAB,
    ord("r"): b"\xf5",
    ord("b"): b"\xf6",
    ord("f"): b"\xf7",
}
_CONTROL: Final[dict[bytes, bytes]] = {b"u%04x" % code: bytes((code,)) for code in range(0x20)}
_RESTORE: Final[list[tuple[bytes, bytes]]] = [
    (BACKSLASH, b"\\\\"),
    *((byte, b"\\" + bytes((letter,))) for letter, byte in _SHORT.items()),
]
_ESCAPES: Final[list[tuple[bytes, bytes]]] = [(_ESCAPE + bytes((letter,)), byte) for letter, byte in _SHORT.items()]
_CONTROL_ESCAPES: Final[list[tuple[bytes, bytes]]] = [(_ESCAPE + text, byte) for text, byte in _CONTROL.items()]
# A raw newline separates the lines and never replaces an escape, which orjson writes as \n.
_RESTORE_CONTROL: Final[list[tuple[bytes, bytes]]] = [
    (byte, b"\\" + text) for text, byte in _CONTROL.items() if byte not in (b"\n", b"\t", b"\r", b"\b", b"\f")
]


def neutralise(text: bytes) -> bytes:
    """Serialised text (orjson's) with each escape as one byte. Linear."""
    # A few are found at the speed of memory, where `split` walks each byte: 6 us of 23 kB with one escape.
    out: list[bytes] = []
    append = out.append
    done = 0
    at = text.find(_ESCAPE)
    for _ in range(24):
        if at < 0:
            append(text[done:])
            return b"".join(out)
        append(text[done:at])
        letter = text[at + 1]
        done = at + 2
        if letter == 0x5C:
            append(BACKSLASH)
        elif letter == 0x75:  # u
            done = at + 6
            append(_CONTROL[text[at + 1 : done]])
        else:
            append(_SHORT[letter])
        at = text.find(_ESCAPE, done)
    parts = text.split(_ESCAPE)
    return _by_kinds(text) if len(parts) > len(text) // _DENSE else _one_by_one(parts)


def _one_by_one(parts: list[bytes]) -> bytes:
    """Pays per escape."""
    out = [parts[0]]
    append = out.append
    index = 1
    end = len(parts)
    while index < end:
        part = parts[index]
        index += 1
        if not part:  # two backslashes in a row: one escaped backslash, then what follows the second
            append(BACKSLASH)
            append(parts[index])
            index += 1
        elif part[0] == 0x75:  # u
            append(_CONTROL[part[:5]])
            append(part[5:])
        else:
            append(_SHORT[part[0]])
            append(part[1:])
    return b"".join(out)


def _by_kinds(text: bytes) -> bytes:
    """Pays per kind of escape and byte: 250 kB of quotes take a few milliseconds, not 50."""
    # The backslashes themselves first: no other escape holds one, so of a row of them each two are an escape.
    if text.find(_PAIR) >= 0:
        text = text.replace(_PAIR, BACKSLASH)
    for escape, byte in _ESCAPES:
        if 0x5C not in text:
            return text
        text = text.replace(escape, byte)
    for escape, byte in _CONTROL_ESCAPES:
        if 0x5C not in text:
            return text
        text = text.replace(escape, byte)
    return text


def has_controls(text: bytes) -> bool:
    """Whether serialised text may have an escape ``\\u00XX``; True, too, if it has many escapes."""
    at = text.find(_ESCAPE)
    for _ in range(32):
        if at < 0:
            return False
        if text[at + 1] == 0x75:  # u
            return True
        at = text.find(_ESCAPE, at + 2)
    return True


def restore(text: bytes, *, controls: bool = True) -> bytes:
    """The inverse of `neutralise`. ``controls``: whether the text may have control characters (see `has_controls`).

    To ask for each of them takes 16 us of 28 kB.
    """
    for byte, escape in _RESTORE:
        text = text.replace(byte, escape)  # one-byte needles: memory speed where there is none
    if not controls:
        return text
    for byte, escape in _RESTORE_CONTROL:
        if byte[0] in text:
            text = text.replace(byte, escape)
    return text
