"""Reads large messages of OTLP in protobuf in steps; see `formats.protobuf_steps`.

What is small inside them is read at once by `otlp_values`, with which everything here agrees.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from logops_fast.formats.protobuf_steps import LARGE_BYTES, Pace
from logops_fast.formats.protobuf_wire import read_length, read_varint, skip
from logops_fast.ingest.parsers.otlp_event import MOST_LEVELS
from logops_fast.ingest.parsers.otlp_values import any_value, deeper, key_value, skip_other, text


def members_in_steps(
    body: bytes,
    pos: int,
    end: int,
    repeated: int,
    members: dict[str, Any],
    known: int,
    pace: Pace,
    single: int = 0,
    value: list[Any] | None = None,
) -> Generator[None, None, bytes]:
    """Read a message with attributes into ``members``; returns the others of its fields, the last of each tag.

    ``repeated``: the tag of the attributes; ``known``: the highest number of the message's own fields. ``single``: the
    tag of a field that is an AnyValue, which becomes the one item of ``value``; 0: there is none. Raises WireError.
    """
    kept: dict[int, bytes] = {}
    while pos < end:
        start = pos
        fields = 1
        tag, pos = read_varint(body, pos, end)
        if tag == repeated:
            at, pos = read_length(body, pos, end)
            if pos - at > LARGE_BYTES:
                yield from _key_value(body, at, pos, members, MOST_LEVELS, pace)
            else:
                key_value(body, at, pos, members, MOST_LEVELS)
                fields += (pos - at) // 2
        elif tag == single and value is not None:
            at, pos = read_length(body, pos, end)
            if pos - at > LARGE_BYTES:
                value[0] = yield from _any_value(body, at, pos, MOST_LEVELS, pace)
            else:
                value[0] = any_value(body, at, pos, MOST_LEVELS)
                fields += (pos - at) // 2
        else:
            pos = skip(body, tag & 7, pos, end)
            if tag >> 3 <= known:
                kept[tag] = body[start:pos]
        if pace.took(fields):
            yield
    return b"".join(kept.values())


def _key_value(
    body: bytes, pos: int, end: int, members: dict[str, Any], levels: int, pace: Pace
) -> Generator[None, None, None]:
    key = ""
    value: Any = None
    while pos < end:
        fields = 1
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            key = text(body, at, pos)
        elif tag == 0x12:
            at, pos = read_length(body, pos, end)
            if pos - at > LARGE_BYTES:
                value = yield from _any_value(body, at, pos, levels, pace)
            else:
                value = any_value(body, at, pos, levels)
                fields += (pos - at) // 2
        else:
            pos = skip_other(body, tag, pos, end, 2)
        if pace.took(fields):
            yield
    members[key] = value


def _any_value(body: bytes, pos: int, end: int, levels: int, pace: Pace) -> Generator[None, None, Any]:
    value: Any = None
    while pos < end:
        start = pos
        fields = 1
        tag, at = read_varint(body, pos, end)
        pos = skip(body, tag & 7, at, end)
        is_nested = tag == 0x2A or tag == 0x32
        if is_nested and pos - start > LARGE_BYTES:
            at, _ = read_length(body, at, end)
            if tag == 0x2A:
                value = yield from _array(body, at, pos, deeper(levels), pace)
            else:
                value = yield from _key_value_list(body, at, pos, deeper(levels), pace)
        else:
            value = any_value(body, start, pos, levels, value)
            fields += (pos - start) // 2 if is_nested else 0
        if pace.took(fields):
            yield
    return value


def _array(body: bytes, pos: int, end: int, levels: int, pace: Pace) -> Generator[None, None, list[Any]]:
    values: list[Any] = []
    while pos < end:
        fields = 1
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            if pos - at > LARGE_BYTES:
                value = yield from _any_value(body, at, pos, levels, pace)
                values.append(value)
            else:
                values.append(any_value(body, at, pos, levels))
                fields += (pos - at) // 2
        else:
            pos = skip_other(body, tag, pos, end, 1)
        if pace.took(fields):
            yield
    return values


def _key_value_list(body: bytes, pos: int, end: int, levels: int, pace: Pace) -> Generator[None, None, dict[str, Any]]:
    members: dict[str, Any] = {}
    while pos < end:
        fields = 1
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            if pos - at > LARGE_BYTES:
                yield from _key_value(body, at, pos, members, levels, pace)
            else:
                key_value(body, at, pos, members, levels)
                fields += (pos - at) // 2
        else:
            pos = skip_other(body, tag, pos, end, 1)
        if pace.took(fields):
            yield
    return members
