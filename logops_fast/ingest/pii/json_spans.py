"""Where brackets close, and strings end, in JSON text that is a string, perhaps of JSON text that is one again.

A quote is 0xFD and a backslash 0xFC, as in all neutral text (see `escapes`).
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.patterns import compile_possessive

CLOSES: Final = frozenset((b"", b'"', b",", b":", b"}", b"]", b")"))
"""What follows the quote that ends a string of JSON text."""
_TOKEN: Final = compile_possessive(
    rb"(?:[^\xfd\xfc\[\]{}\x22]|\xfc[^\x22])*+(?:\xfd(?:[^\xfd\xfc\x22]|\xfc[^\x22])*+\xfd(?:[^\xfd\xfc\[\]{}\x22]|\xfc[^\x22])*+)*+([\[\]{}])"
)
_ANY_QUOTE: Final = re.compile(rb"\xfc*+\xfd|\x22")
_STRING_END: Final = re.compile(rb'[^"]*+')
_QUOTE_OR_END: Final = compile_possessive(rb"(?:[^\xfc\xfd\x22]|\xfc(?!\xfc{0,32}+\xfd))*+")


def _brackets(backslashes: int) -> re.Pattern[bytes]:
    """Brackets, up to six deep, with strings whose quotes have so many backslashes before them."""
    row, inner = b"\xfc" * backslashes, b"\xfc" * (2 * backslashes + 1)
    backslash = rb"\xfc(?!\xfc{0,32}+\xfd)"  # that belongs to no quote
    # What opens a string is where one may begin, and what ends it where something may follow one: a quote of the
    # string around the brackets is neither.
    string = (
        rb"(?<=[\[{,:=( \xfe\xffbBuUrR])" + row + rb"\xfd(?:[^\xfc\xfd\x22]|" + backslash + rb"|" + inner + rb"\xfd)*+"
        + row + rb"\xfd(?=[ ,:=}\])\xfe\xff])"
    )  # fmt: skip
    outside = rb"[^\xfc\xfd\x22\[\]{}]++|" + backslash
    found = b""
    for _ in range(6):
        found = rb"[\[{](?:" + outside + rb"|" + string + (rb"|" + found if found else b"") + rb")*+[\]}]"
    return compile_possessive(found)


# A quote in a string of JSON text has one backslash more than twice as many as that of the string.
_BRACKETS: Final = tuple(map(_brackets, (0, 1, 3)))


def brackets_end(text: bytes, start: int, *, in_json: bool) -> int:
    """Where the brackets that open at ``start``, in JSON text inside a string, close, or the string's end.

    Not ``in_json``, they are in a string that may end before they close: at the next quote, of whatever string it is.
    """
    if not in_json:
        for pattern in _BRACKETS:
            found = pattern.match(text, start)
            if found is not None:
                return found.end()
        return _QUOTE_OR_END.match(text, start).end()  # type: ignore[union-attr]  # matches the empty string
    depth = 1
    end = start + 1
    while depth:
        token = _TOKEN.match(text, end)
        if token is None:
            return _STRING_END.match(text, start + 1).end()  # type: ignore[union-attr]  # matches the empty string
        end = token.end()
        depth += 1 if token[1] in b"[{" else -1
    return end


def _level_of(backslashes: int) -> int:
    """How many JSON texts within each other a quote after so many backslashes is a string's in."""
    # Each level doubles the backslashes before a quote and adds one; a backslash in its text is two of them.
    return (backslashes & ~(backslashes + 1)).bit_length()


def escaped_end(text: bytes, start: int, end: int) -> int:
    """Where a value ends whose opening quote, with backslashes before it, is at ``start`` to ``end``."""
    level = _level_of(end - start - 1)
    for token in _ANY_QUOTE.finditer(text, end):
        last = token.end() - 1
        if text[last] == 0x22:
            return last
        found = _level_of(last - token.start())
        if found <= level:
            return last - (1 << found) + 1
    return len(text)
