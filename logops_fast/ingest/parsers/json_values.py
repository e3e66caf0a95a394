"""One JSON text to one event, the careful way: numbers that fit no machine word, lone surrogates, deep nesting.

Decided here: an integer outside 64 bits and a float outside a double become strings with every digit as sent
(no writer downstream can write them as numbers, and rounding would change an id); a lone surrogate becomes
U+FFFD; NaN and Infinity are not JSON. Of two equal keys the last wins, as in every common parser.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import msgspec
import orjson

from logops_fast.formats.json_text import replace_lone_surrogates
from logops_fast.ingest.parsers import base

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1
LEVELS_WALKED: Final = 256  # orjson writes 254; what is deeper is a fault whatever it holds

# The type errors that decoding untrusted text and writing it again can end in.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, orjson.JSONEncodeError)

_RECURSION: Final = "Recursion limit"

# As fast as orjson.loads, but keeps the digits of large integers, which orjson silently makes floats.
decode: Final = msgspec.json.Decoder().decode


def check_writable(events: list[dict[str, Any]]) -> None:
    """Raise orjson.JSONEncodeError if an event holds what cannot be stored as it is.

    Writing and throwing away is the cheapest test there is: 0.06 us an event, less than counting the brackets.
    """
    orjson.dumps(events)


def read_event(text: bytes) -> dict[str, Any] | str:
    """Return the event that one JSON text holds, or the reason why it is none."""
    try:
        value = decode(text)
    except msgspec.ValidationError:  # well-formed, but a number is out of range
        return _read_wide_numbers(text)
    except msgspec.DecodeError:
        replaced = replace_lone_surrogates(text)
        return base.BAD_JSON if replaced is text else read_event(replaced)
    except UnicodeDecodeError:
        return base.BAD_UTF8
    except RecursionError:
        return base.TOO_DEEP
    return _storable(value)


def _read_wide_numbers(text: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(
            replace_lone_surrogates(text).decode(), parse_int=_int, parse_float=_float, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        return base.BAD_UTF8
    except ValueError:
        return base.BAD_JSON
    except RecursionError:
        return base.TOO_DEEP
    return _storable(value)


def _storable(value: Any) -> dict[str, Any] | str:
    if type(value) is not dict:
        return base.NOT_AN_OBJECT
    try:
        check_writable([value])
    except orjson.JSONEncodeError as error:
        if _RECURSION in str(error):
            return base.TOO_DEEP  # found without a walk through 254 levels
        _narrow(value, LEVELS_WALKED)
        try:
            check_writable([value])
        except orjson.JSONEncodeError:
            return base.TOO_DEEP
    return value


def _narrow(node: dict[str, Any] | list[Any], levels: int) -> None:
    """Replace each integer that does not fit into 64 bits by a string, in place."""
    if levels == 0:
        return
    pairs: list[tuple[Any, Any]] = list(node.items() if isinstance(node, dict) else enumerate(node))
    for key, value in pairs:
        if isinstance(value, (dict, list)):
            _narrow(value, levels - 1)
        elif type(value) is int and not INT_MIN <= value <= INT_MAX:
            node[key] = str(value)


def _int(digits: str) -> int | str:
    # Text that is longer than any 64-bit integer stays text: int() is quadratic, and refuses 4300 digits.
    return int(digits) if len(digits) <= len(str(INT_MIN)) else digits


def _float(digits: str) -> float | str:
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
