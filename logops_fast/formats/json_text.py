"""JSON text taken apart without building it: items as raw bytes, lone surrogates, and where a body is broken.

msgspec's ``Raw`` checks the whole grammar (RFC 8259) at memory speed and leaves each item as it was sent.
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
# Every escape is consumed in turn, so that `\\ud800` (a backslash, then text) is not taken for a surrogate.
_ESCAPE: Final = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class BrokenJsonError(LogOpsError):
    """The body is not one JSON text; the message says where, and never holds text of the body."""


def mend_surrogates(text: bytes) -> bytes:
    r"""The JSON text with each ``\udXXX`` escape that has no partner made ``\ufffd``: UTF-8 cannot store it.

    Same length in and out, so positions stay. The very same object comes back where nothing was to be mended.
    """
    if b"\\" not in text:
        return text
    mended = _ESCAPE.sub(lambda found: b"\\ufffd" if found[2] else found[0], text)
    return text if mended == text else mended


def items(body: bytes) -> list[bytes]:
    """The raw text of each element of an array, or of the one value that the body is; blank bodies have none.

    Raises:
        BrokenJsonError: it is not one JSON text, or nests deeper than the decoder goes (about 1000 levels).
    """
    text = without_bom(body)
    if is_blank(text):
        return []
    mended = text
    while True:
        try:
            return [bytes(raw) for raw in _frame(mended)]
        except RecursionError:
            raise BrokenJsonError("it nests too deeply") from None
        except msgspec.DecodeError:
            again = mend_surrogates(mended)
            if again is mended:
                raise BrokenJsonError(_where(mended)) from None
            mended = again


def count(body: bytes) -> int:
    """How many items the body holds: the array's length, 1 for any other value, 0 where it is blank or broken."""
    try:
        return len(_frame(body))
    except (msgspec.DecodeError, RecursionError):
        pass  # a byte order mark, a lone surrogate, or really broken
    try:
        return len(items(body))
    except BrokenJsonError:
        return 0


def _frame(text: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(text)
    except msgspec.ValidationError:  # not an array
        return [_ANY.decode(text)]


def _where(text: bytes) -> str:
    """Where and why the text is broken, for a person. orjson says it better than msgspec."""
    try:
        # Bad UTF-8 would hide the place: it is no fault of the grammar.
        orjson.loads(text.decode("utf-8", "replace"))
    except orjson.JSONDecodeError as error:
        hint = ""
        if error.msg.startswith("unexpected content after document"):
            hint = " (one object a line is application/x-ndjson)"
        return f"line {error.lineno} column {error.colno}: {error.msg}{hint}"
    return "its grammar is wrong"
