r"""RFC 5424 structured data (6.3): ``[id name="value" name="value"][id]``.

Scanned with str.find rather than matched: a regular-expression engine keeps memory for every repetition of a group,
which made 370 MB of a value of two million ``\"``. Here time is linear and nothing is kept that is not an element. Runs
of escapes are looked at with str.replace, at memory speed: a step of Python for each took 90 ms for one line.
"""

from __future__ import annotations

import re
from typing import Any, Final

_NAME: Final = re.compile(r'[^ =\]"]+')  # 6.3.2; longer than 32 characters and not only ASCII, because senders do
# An element of at most so many parameters, none of them with an escape: nearly every one. The rest is scanned.
_SIMPLE: Final = re.compile(r'\[([^ =\]"]++)((?: ++[^ =\]"]++="[^"\\]*+"){0,32}) ?\]')
_PARAMS: Final = re.compile(r'([^ =\]"]++)="([^"]*+)"')
_PARAM: Final = re.compile(r' ++([^ =\]"]++)="([^"\\]*+)')
_PAIR: Final = chr(
    0xD800
)  # mypyc takes no such literal; in place of two backslashes; text that was decoded holds no surrogate
_WINDOW: Final = 64  # characters looked at for the end of a value with escapes, doubled each time

MAX_PARTS: Final = 4096
"""Elements and parameters of one line; a line with more is read as a message."""


def find_end(text: str, start: int) -> int:
    """Return the index after the elements that begin at ``start``, or -1 if the grammar does not hold.

    -1 also if there are more than MAX_PARTS elements and parameters.
    """
    position = start
    parts = 0
    while text.startswith("[", position):
        name = _NAME.match(text, position + 1)
        if name is None:
            return -1
        position = name.end()
        while True:
            parts += 1
            if parts > MAX_PARTS:
                return -1
            following = text[position : position + 1]
            if following == "]":
                position += 1
                break
            if following != " ":
                return -1
            first = _skip_blanks(text, position)
            param = _NAME.match(text, first)
            if param is None:
                if first == position + 1 and text.startswith("]", first):
                    position = first + 1
                    break
                return -1
            if not text.startswith('="', param.end()):
                return -1
            closing = _value_end(text, param.end() + 2)
            if closing < 0:
                return -1
            position = closing + 1
    return position if position > start else -1


def read(text: str, start: int) -> tuple[dict[str, dict[str, Any]], int]:
    """Return the elements that begin at ``start``, by SD-ID and parameter, and the index after them.

    The index is -1 if the grammar does not hold. The values of a parameter that is repeated (6.3.3) become a list.
    """
    elements: dict[str, dict[str, Any]] = {}
    position = start
    while text.startswith("[", position):
        simple = _SIMPLE.match(text, position)
        if simple is not None and simple[1] not in elements:
            params = _PARAMS.findall(simple[2])
            values: dict[str, Any] = dict(params)
            if len(values) == len(params):
                elements[simple[1]] = values
                position = simple.end()
                continue
        name = _NAME.match(text, position + 1)
        if name is None:
            return elements, -1
        element = elements.get(name[0])
        if element is None:
            element = elements[name[0]] = {}
        position = name.end()
        while True:
            param = _PARAM.match(text, position)
            if param is None:
                break
            key, value = param.groups()
            position = param.end()
            if text[position : position + 1] != '"':  # a backslash, or the end of the text
                opening = param.start(2)
                position = _value_end(text, opening)
                if position < 0:
                    return elements, -1
                value = _unescaped(text[opening:position])
            position += 1
            if key in element:
                _add(element, key, value)
            else:
                element[key] = value
        if text.startswith("]", position):
            position += 1
        elif text.startswith(" ]", position):
            position += 2
        else:
            return elements, -1
    return elements, position if position > start else -1


def _skip_blanks(text: str, position: int) -> int:
    while text.startswith(" ", position):
        position += 1
    return position


def _value_end(text: str, start: int) -> int:
    """Return the index of the quote that ends a value, or -1. An odd number of backslashes before it escapes it."""
    size = len(text)
    position = start  # never between a backslash and what it escapes
    window = _WINDOW
    while True:
        quote = text.find('"', position)
        if quote < 0 or quote == position or text[quote - 1] != "\\":
            return quote
        stop = min(max(position + window, quote + 1), size)
        looked = text[position:stop]
        if (len(looked) - len(looked.rstrip("\\"))) % 2:
            stop += 1
            looked = text[position:stop]
        # Pairs first, from the left: what is then left before a quote escapes it.
        at = looked.replace("\\\\", "..").replace('\\"', "..").find('"')
        if at >= 0:
            return position + at
        position = stop
        window *= 2


def _unescaped(value: str) -> str:
    """Return a value without the backslashes before ``"``, ``\\`` and ``]``; before others they are kept (6.3.3)."""
    pairs = value.replace("\\\\", _PAIR)  # first, and from the left
    return pairs.replace('\\"', '"').replace("\\]", "]").replace(_PAIR, "\\")


def _add(element: dict[str, Any], name: str, value: str) -> None:
    known = element[name]
    if isinstance(known, list):
        known.append(value)
    else:
        element[name] = [known, value]
