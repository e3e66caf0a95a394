r"""A stream's labels as Loki's protobuf carries them: text such as ``{app="shop", path="C:\\temp"}``.

Values are quoted as in Go (The Go Programming Language Specification, "String literals"): double quotes with escapes,
or back quotes without.
"""

from __future__ import annotations

import re
from typing import Final

MAX_LABELS_BYTES: Final = 16_384
"""Bytes of a stream's labels, which each of its entries gets: Loki takes 15 of at most 3 KiB, and most have 500."""

MAX_LABELS: Final = 128
"""Labels of a stream: Loki takes 15 by default."""

_PAIR: Final = re.compile(
    r'\s*([A-Za-z_][A-Za-z0-9_:.]*|"[^"\\]*(?:\\.[^"\\]*)*")\s*=\s*("[^"\\]*(?:\\.[^"\\]*)*"|`[^`]*`)\s*(,\s*\}?|\})',
    re.DOTALL,
)
_ESCAPE: Final = re.compile(
    rb"""\\(?:([abfnrtv\\'"])|([0-3][0-7]{2})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|.)""", re.DOTALL
)
_LETTERS: Final = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\", b"'": b"'",
    b'"': b'"',
}  # fmt: skip


def parse_labels(text: str) -> dict[str, str] | None:
    """Return the labels, in order; None if the text is not of the form, too long, or has too many.

    Of two labels with one name the last wins. Linear in the text.
    """
    if len(text) > MAX_LABELS_BYTES:
        return None
    text = text.strip()
    if text in ("", "{}"):
        return {}
    labels: dict[str, str] = {}
    if "\\" not in text and "`" not in text and text[:1] == "{" and text[-2:] == '"}':
        # As Go writes labels without escapes: no value can hold a quote, so what ends one pair ends it for certain.
        for part in text[1:-2].split('", '):
            label, _, said = part.partition('="')
            if not (label.isidentifier() and label.isascii()) or '"' in said:
                break
            labels[label] = said
        else:
            return labels if len(labels) <= MAX_LABELS else None
        labels = {}
    pos = 1
    while text[:1] == "{" and len(labels) <= MAX_LABELS:
        pair = _PAIR.match(text, pos)
        if pair is None:
            return None
        name, value, following = pair.groups()
        if name[0] == '"':
            name = name[1:-1]
            if "\\" in name:
                name = _unescaped(name)
        value = _unescaped(value[1:-1]) if value[0] == '"' and "\\" in value else value[1:-1]
        if name is None or value is None:
            return None
        labels[name] = value
        pos = pair.end()
        if following[-1] == "}":
            return labels if pos == len(text) and len(labels) <= MAX_LABELS else None
    return None


def _unescaped(quoted: str) -> str | None:
    """Return the value of the inside of a double-quoted Go string; None if an escape is not one of Go's."""
    parts: list[bytes] = []
    raw = quoted.encode("utf-8", "replace")
    pos = 0
    for found in _ESCAPE.finditer(raw):
        parts.append(raw[pos : found.start()])
        pos = found.end()
        letter, octal, byte, short, long = found.groups()
        if letter is not None:
            parts.append(_LETTERS[letter])
        elif octal is not None:
            parts.append(bytes((int(octal, 8),)))
        elif byte is not None:
            parts.append(bytes((int(byte, 16),)))
        elif short is not None or long is not None:
            point = int(short or long, 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                return None
            parts.append(chr(point).encode())
        else:
            return None
    parts.append(raw[pos:])
    return b"".join(parts).decode("utf-8", "replace")
