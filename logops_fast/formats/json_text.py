"""Split JSON text into items without building them: raw items, lone surrogates, and where a body is broken.

msgspec's ``Raw`` checks the whole grammar (RFC 8259) at about 1 GB/s and leaves each item as it was sent. A body is an
array of items, one value, or several objects one after another (as Fluent Bit's ``json_stream`` and jq write them).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
import orjson

from logops_fast.errors import LogOpsError
from logops_fast.formats.lines import is_blank, without_bom

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
# Begins at the first backslash of a run, so that `\\\\ud800` (a backslash, then text) is not taken for a surrogate.
_SURROGATE: Final = re.compile(
    rb"(?<!\\)(?:\\\\)*\\u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|([89a-fA-F][0-9a-fA-F]{2}))"
)
# Where no backslash is escaped, lone ones can be replaced without looking at each.
_LONE: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|[c-fC-F][0-9a-fA-F]{2}(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_TRAILING: Final = "JSON is malformed: trailing characters (byte "
_OBJECT: Final = 0x7B

BROKEN: Final = -1
"""Returned by ``value_end`` if no JSON value begins there."""

UNENDED: Final = -2
"""Returned by ``value_end`` if the text ends before the value does (or, for msgspec, if a surrogate is lone)."""

TOO_DEEP: Final = -3
"""Returned by ``value_end`` if the value nests deeper than the decoder goes (about 1000 levels)."""


class BrokenJsonError(LogOpsError):
    """The body is not JSON; the message says where, and never holds text of the body."""


def replace_lone_surrogates(text: bytes) -> bytes:
    r"""Return the JSON text with each unpaired ``\udXXX`` escape replaced by ``\ufffd``: UTF-8 cannot store it.

    The length does not change, so positions stay valid. Text without such an escape comes back as the same object.
    """
    if b"\\" not in text:
        return text
    if rb"\\" not in text:
        replaced = _LONE.sub(rb"\\ufffd", text)
        return text if replaced == text else replaced
    replaced = _SURROGATE.sub(lambda found: found[0][:-6] + b"\\ufffd" if found[1] else found[0], text)
    return text if replaced == text else replaced


def skip_blanks(text: bytes, pos: int) -> int:
    """Return the position of the first byte from ``pos`` on that is not JSON white space."""
    found = _BLANKS.match(text, pos)
    return pos if found is None else found.end()


def value_end(view: memoryview, pos: int, stop: int) -> int:
    """Return the end of the JSON value that begins at ``pos``, white space after it included.

    Looks no further than ``stop``. The cost grows with the value, not with what follows it: the decoder stops at the
    first byte after the value and reports where that is. Returns BROKEN, UNENDED or TOO_DEEP if there is no end.
    """
    try:
        _ANY.decode(view[pos:stop])
    except msgspec.DecodeError as error:
        message = str(error)
        if message.startswith(_TRAILING):
            return pos + int(message[len(_TRAILING) : -1]) - 1  # it counts the byte it has just read
        return UNENDED if message == "Input data was truncated" else BROKEN
    except RecursionError:
        return TOO_DEEP
    return stop


def items(body: bytes) -> list[bytes]:
    """Return the raw text of each item: the elements of an array, the objects of a sequence, or the only value.

    A blank body has none. In a sequence, text that is not JSON becomes an item up to the next line that begins with
    an object, so that it spoils itself only.

    Raises BrokenJsonError if the text is not JSON, or if nothing of a sequence is.
    """
    text = without_bom(body)
    if is_blank(text):
        return []
    replaced = text
    while True:
        try:
            return [bytes(raw) for raw in _frame(replaced)]
        except RecursionError:
            broken = "it nests too deeply"
        except msgspec.DecodeError:
            again = replace_lone_surrogates(replaced)
            if again is not replaced:
                replaced = again
                continue
            broken = ""
        break
    if replaced[skip_blanks(replaced, 0)] == _OBJECT:
        found = sequence(replaced)
        if found:
            return found
    raise BrokenJsonError(broken or where(replaced))


def sequence(text: bytes) -> list[bytes]:
    """Return the items of several JSON objects one after another; empty if none of them is whole."""
    view = memoryview(text)
    size = len(text)
    found: list[bytes] = []
    whole = 0
    pos = skip_blanks(text, 0)
    while pos < size:
        end = value_end(view, pos, size)
        if end < 0:
            end = next_object(text, pos)
        else:
            whole += 1
        found.append(text[pos:end].rstrip())
        pos = skip_blanks(text, end)
    return found if whole else []


def next_object(text: bytes, pos: int) -> int:
    """Return where a sequence goes on after broken text: the next line that begins with an object, or the end."""
    line = text.find(b"\n{", pos)
    return len(text) if line < 0 else line + 1


def count(body: bytes) -> int:
    """Return how many items the body holds, as ``items`` splits it; 0 if it is blank or broken."""
    try:
        return len(_frame(body))
    except (msgspec.DecodeError, RecursionError):
        pass  # a byte order mark, a lone surrogate, a sequence, or really broken
    try:
        return len(items(body))
    except BrokenJsonError:
        return 0


def count_array(text: bytes) -> int:
    """Return the number of elements of a JSON array, or BROKEN if the text is no JSON array."""
    try:
        return len(_ITEMS.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return BROKEN


def elements(text: bytes) -> list[bytes]:
    """Return the raw elements of a JSON array that ``count_array`` has counted."""
    return [bytes(raw) for raw in _ITEMS.decode(text)]


def _frame(text: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(text)
    except msgspec.ValidationError:  # not an array
        return [_ANY.decode(text)]


def where(text: bytes) -> str:
    """Return where and why the text is broken, for a person. orjson says it better than msgspec."""
    try:
        # Bad UTF-8 would hide the place: it does not break the grammar.
        orjson.loads(text.decode("utf-8", "replace"))
    except orjson.JSONDecodeError as error:
        return f"line {error.lineno} column {error.colno}: {error.msg}"
    return "its grammar is wrong"
