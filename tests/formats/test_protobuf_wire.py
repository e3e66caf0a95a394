from __future__ import annotations

import pytest
from google.protobuf.internal import decoder, encoder
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.protobuf_wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    WireError,
    bytes_field,
    int_field,
    read_length,
    read_varint,
    signed,
    skip,
    varint,
)
from tests.support.tables import each_of


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_written_and_read_as_protobufs_library_does(value: int) -> None:
    written = varint(value)
    assert written == encoder._VarintBytes(value)
    assert read_varint(b"x" + written + b"y", 1, len(written) + 2) == (value, len(written) + 1)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_negative_number_takes_ten_bytes(value: int) -> None:
    assert signed(read_varint(varint(value % 2**64), 0, 10)[0]) == value


@given(st.binary(max_size=12))
def test_any_bytes_are_a_varint_or_an_error_as_for_protobufs_library(data: bytes) -> None:
    try:
        expected = decoder._DecodeVarint(data + b"\x80" * 11, 0)
    except decoder._DecodeError:
        expected = None
    if expected is None or expected[1] > len(data):
        with pytest.raises(WireError):
            read_varint(data, 0, len(data))
    else:
        assert read_varint(data, 0, len(data)) == expected


@each_of("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 10 + b"\x01"])
def test_a_varint_without_an_end_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        read_varint(data, 0, len(data))


def test_a_length_may_not_go_beyond_the_end_of_its_message() -> None:
    assert read_length(b"\x02ab", 0, 3) == (1, 3)
    with pytest.raises(WireError):
        read_length(b"\x03abc", 0, 3)
    with pytest.raises(WireError):
        read_length(varint(2**64 - 1) + b"ab", 0, 12)


@each_of(
    ("wire_type", "data"),
    [(VARINT, b"\x96\x01"), (FIXED64, b"12345678"), (BYTES, b"\x02ab"), (FIXED32, b"1234")],
)
def test_a_value_of_each_wire_type_is_skipped_whole_or_is_cut_off(wire_type: int, data: bytes) -> None:
    assert skip(data, wire_type, 0, len(data)) == len(data)
    with pytest.raises(WireError):
        skip(data, wire_type, 0, len(data) - 1)


@each_of("wire_type", [3, 4, 6, 7])
def test_groups_and_unknown_wire_types_are_refused(wire_type: int) -> None:
    with pytest.raises(WireError):
        skip(b"12345678", wire_type, 0, 8)


def test_fields_are_written_with_their_tags() -> None:
    assert int_field(1, 150) == b"\x08\x96\x01"
    assert bytes_field(2, b"testing") == b"\x12\x07testing"
    assert bytes_field(16, b"") == b"\x82\x01\x00"
