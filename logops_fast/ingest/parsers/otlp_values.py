"""Reads the values of OTLP in protobuf: AnyValue, KeyValue and what they nest.

Source: opentelemetry-proto, common/v1/common.proto.
"""

from __future__ import annotations

from base64 import b64encode
from struct import unpack_from
from typing import Any

from logops_fast.formats.protobuf_wire import WireError, read_length, read_varint, signed, skip
from logops_fast.ingest.parsers.otlp_event import MOST_LEVELS, double


def key_value(body: bytes, pos: int, end: int, members: dict[str, Any], levels: int) -> None:
    """Read a KeyValue, key = 1 and value = 2, into ``members``. Of two equal keys the last wins, as in JSON."""
    key = ""
    value: Any = None
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            key = text(body, at, pos)
        elif tag == 0x12:
            at, pos = read_length(body, pos, end)
            value = any_value(body, at, pos, levels)
        else:
            pos = skip_other(body, tag, pos, end, 2)
    members[key] = value


def any_value(body: bytes, pos: int, end: int, levels: int, value: Any = None) -> Any:
    """Read an AnyValue; the last of its fields counts, and without any it is ``value``."""
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:  # string_value = 1
            at, pos = read_length(body, pos, end)
            value = text(body, at, pos)
        elif tag == 0x18:  # int_value = 3
            number, pos = read_varint(body, pos, end)
            value = signed(number)
        elif tag == 0x10:  # bool_value = 2
            number, pos = read_varint(body, pos, end)
            value = number != 0
        elif tag == 0x21:  # double_value = 4
            if end - pos < 8:
                raise WireError("a number is cut off")
            value = double(unpack_from("<d", body, pos)[0])
            pos += 8
        elif tag == 0x2A:  # array_value = 5
            at, pos = read_length(body, pos, end)
            value = array(body, at, pos, deeper(levels))
        elif tag == 0x32:  # kvlist_value = 6
            at, pos = read_length(body, pos, end)
            value = key_value_list(body, at, pos, deeper(levels))
        elif tag == 0x3A:  # bytes_value = 7
            at, pos = read_length(body, pos, end)
            value = b64encode(body[at:pos]).decode()
        else:
            pos = skip_other(body, tag, pos, end, 7)
    return value


def array(body: bytes, pos: int, end: int, levels: int) -> list[Any]:
    """Read an ArrayValue: values = 1."""
    values: list[Any] = []
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            values.append(any_value(body, at, pos, levels))
        else:
            pos = skip_other(body, tag, pos, end, 1)
    return values


def key_value_list(body: bytes, pos: int, end: int, levels: int) -> dict[str, Any]:
    """Read a KeyValueList: values = 1."""
    members: dict[str, Any] = {}
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            key_value(body, at, pos, members, levels)
        else:
            pos = skip_other(body, tag, pos, end, 1)
    return members


def deeper(levels: int) -> int:
    """Return how many levels are left inside an array or list. Raises WireError if there are none."""
    if levels == 0:
        raise WireError(f"a value nests more than {MOST_LEVELS} levels deep")
    return levels - 1


def text(body: bytes, start: int, end: int) -> str:
    """Return a text; bytes that are no UTF-8 are replaced."""
    try:
        return body[start:end].decode()
    except UnicodeDecodeError:
        return body[start:end].decode("utf-8", "replace")


def skip_other(body: bytes, tag: int, pos: int, end: int, known: int) -> int:
    """Return the position after an unknown field; ``known``: the highest number of the message's own fields.

    Those come here only with a wire type that is not theirs.
    """
    if tag >> 3 <= known:
        raise WireError("a field has a wire type that is not its own")
    return skip(body, tag & 7, pos, end)
