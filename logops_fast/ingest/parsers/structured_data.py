r"""RFC 5424 structured data (6.3): ``[id name="value" name="value"][id]``.

Scanned with str.find rather than matched: a regular-expression engine keeps memory for every repetition of a group,
which made 370 MB of a value of two million ``\"``. Here time is linear and nothing is kept that is not an element.
"""

from __future__ import annotations

import re
from typing import Any, Final

_NAME: Final = re.compile(r'[^ =\]"]+')  # 6.3.2; longer than 32 characters and not only ASCII, because senders do
# An element of at most so many parameters, none of them with an escape: nearly every one. The rest is scanned.
_SIMPLE: Final = re.compile(r'\[([^ =\]"]++)((?: ++[^ =\]"]++="[^"\\]*+"){0,32}) ?\]')
_PARAMS: Final = re.compile(r'([^ =\]"]++)="([^"]*+)"')
_PARAM: Final = re.compile(r' ++([^ =\]"]++)="([^"\\]*+)')
_ESCAPED: Final = re.compile(r'\\(["\\\]])')  # 6.3.3: a backslash before any other character is itself


def find_end(text: str, start: int) -> int:
    """Return the index after the elements that begin at ``start``, or -1 if the grammar does not hold."""
    position = start
    while text.startswith("[", position):
        name = _NAME.match(text, position + 1)
        if name is None:
            return -1
        position = _element_end(text, name.end())
        if position < 0:
            return -1
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
                value = _ESCAPED.sub(r"\1", text[opening:position])
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


def _element_end(text: str, position: int) -> int:
    while True:
        following = text[position : position + 1]
        if following == "]":
            return position + 1
        if following != " ":
            return -1
        first = _skip_blanks(text, position)
        param = _NAME.match(text, first)
        if param is None:
            return first + 1 if first == position + 1 and text.startswith("]", first) else -1
        if not text.startswith('="', param.end()):
            return -1
        closing = _value_end(text, param.end() + 2)
        if closing < 0:
            return -1
        position = closing + 1


def _skip_blanks(text: str, position: int) -> int:
    while text.startswith(" ", position):
        position += 1
    return position


def _value_end(text: str, start: int) -> int:
    """Return the index of the quote that ends a value, or -1. An odd number of backslashes before it escapes it."""
    position = start
    while True:
        quote = text.find('"', position)
        if quote < 0:
            return -1
        # Looks back no further than the quote before: each backslash is seen once.
        first = quote
        while first > position and text[first - 1] == "\\":
            first -= 1
        if (quote - first) % 2 == 0:
            return quote
        position = quote + 1


def _add(element: dict[str, Any], name: str, value: str) -> None:
    known = element[name]
    if isinstance(known, list):
        known.append(value)
    else:
        element[name] = [known, value]
