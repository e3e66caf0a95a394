"""A push request read from protobuf: the counterpart of what the shipper writes, by another hand.

Source: pkg/push/push.proto of grafana/loki.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cramjam


class Pushed(NamedTuple):
    """An entry of a push; ``ns`` since 1970."""

    ns: int
    line: str
    metadata: tuple[tuple[str, str], ...]


def decode_push(body: bytes) -> list[tuple[str, list[Pushed]]]:
    """Streams of a body in snappy's block format: the text of the labels, and the entries."""
    data = bytes(cramjam.snappy.decompress_raw(body))
    return [_stream(value) for number, value in _fields(data) if number == 1 and isinstance(value, bytes)]


def _stream(data: bytes) -> tuple[str, list[Pushed]]:
    labels, entries = "", []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            labels = value.decode()
        elif number == 2 and isinstance(value, bytes):
            entries.append(_entry(value))
    return labels, entries


def _entry(data: bytes) -> Pushed:
    ns, line, metadata = 0, "", []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            time = dict(_fields(value))
            seconds, nanos = time.get(1, 0), time.get(2, 0)
            assert isinstance(seconds, int)
            assert isinstance(nanos, int)
            ns = seconds * 10**9 + nanos
        elif number == 2 and isinstance(value, bytes):
            line = value.decode()
        elif number == 3 and isinstance(value, bytes):
            pair = dict(_fields(value))
            name, text = pair.get(1, b""), pair.get(2, b"")
            assert isinstance(name, bytes)
            assert isinstance(text, bytes)
            metadata.append((name.decode(), text.decode()))
    return Pushed(ns, line, tuple(metadata))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value, at = _varint(data, at)
        if kind == 0:
            yield number, value
        elif kind == 2:
            assert at + value <= len(data), "a field runs past its message"
            yield number, data[at : at + value]
            at += value
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        assert shift < 64, "an overlong varint"
