from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.shipper.entries import Entry, Place, retime, rfc3339_ns, timestamp_ns
from logops_fast.shipper.push_request import SECOND, entry, labels_text, varint
from tests.loki.store import parse_labels
from tests.loki.wire import decode_push
from tests.shipper.support import METADATA, NOW, encoded, line, made


def pushed(entries: list[Entry]) -> list[tuple[str, int, str, dict[str, str]]]:
    return [
        (labels, one.ns, one.line, dict(one.metadata))
        for labels, found in decode_push(encoded(entries))
        for one in found
    ]


def test_an_entry_of_a_line() -> None:
    text = line(
        "2026-11-25T12:00:00.000123Z", trace_id="t1", host="h", scenario_id=7, source=None, other="not metadata"
    )
    ((labels, ns, stored, metadata),) = pushed(made([text]))
    assert parse_labels(labels) == {"emitter": "web", "level": "INFO", "stream": "events", "instance": "m-0"}
    assert ns == int(dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC).timestamp()) * SECOND + 123_000
    assert stored == text.decode()
    assert metadata == {
        "app": "shop",
        "trace_id": "t1",
        "host": "h",
        "scenario_id": "7",
        "seq": "20261126.000000000000",
    }


def test_labels_do_not_grow_with_what_clients_send() -> None:
    lines = [
        line(app=f"app{n}", level="WHATEVER" if n % 2 else "ERROR", stream=f"s{n}", instance="x") for n in range(500)
    ]
    entries = made(lines, app_labels=("app3", "app4"))
    assert {entry.stream_labels for entry in entries} == {
        '{emitter="web", instance="m-0", level="ERROR", stream="events"}',
        '{emitter="web", instance="m-0", level="INFO", stream="events"}',
        '{app="app3", emitter="web", instance="m-0", level="INFO", stream="events"}',
        '{app="app4", emitter="web", instance="m-0", level="ERROR", stream="events"}',
    }
    assert (
        len({entry.stream_labels for entry in made([line(emitter=f"e{n}") for n in range(50)], max_emitters=9)}) == 10
    )


def test_rejected_lines_have_no_level() -> None:
    ((labels, _, _, metadata),) = pushed(made([line(reason="bad")], Place("rejected", "m-1", "20261126.w1")))
    assert parse_labels(labels) == {"emitter": "web", "stream": "rejected", "instance": "m-1"}
    assert metadata["seq"] == "20261126.w1.000000000000"


def test_equal_lines_at_the_same_time_are_moved_apart_and_no_others() -> None:
    twin, other = line(), line(msg="other")
    entries = made([twin, other, twin, twin, line(level="WARN")])
    base = entries[0].ns
    assert [entry.ns - base for entry in entries] == [0, 0, 1, 2, 0]


@pytest.mark.parametrize(
    "text", [b"not json", b"[1]", b"3", b'{"ts": 5}', b'{"ts": "yesterday"}', b"\xff\xfe", b"{" * 500]
)
def test_a_line_of_another_program_is_shipped_at_the_time_it_is_read(text: bytes) -> None:
    (one,) = made([text])
    assert one.ns == NOW
    assert one.line == text.decode("utf-8", "replace").encode()


def test_offsets_are_those_of_the_file() -> None:
    lines = [line(msg="é" * n) for n in range(20)]
    blob = b"".join(text + b"\n" for text in lines)
    entries = made(lines, start=0)
    assert [blob[entry.offset : entry.end] for entry in entries] == [text + b"\n" for text in lines]


def test_a_long_value_is_not_metadata() -> None:
    entries = made([line(trace_id="x" * 4097, host="h" * 4096)])
    assert {name: len(value) for name, value in pushed(entries)[0][3].items()} == {"app": 4, "host": 4096, "seq": 21}


def test_retimed_keeps_its_own_time_and_has_a_stream_of_its_own() -> None:
    (one,) = made([line("2020-01-01T00:00:00.5Z")])
    twice = retime(retime(one, NOW), NOW + 1)
    ((labels, ns, _, metadata),) = pushed([twice])
    assert ns == NOW + 1
    assert metadata["original_ts"] == "2020-01-01T00:00:00.500000000Z"
    assert (parse_labels(labels) or {})["instance"] == "m-0-retimed"


@given(st.integers(0, 7_000_000_000 * SECOND))
def test_times_there_and_back(ns: int) -> None:
    assert timestamp_ns(rfc3339_ns(ns)) == ns


@pytest.mark.parametrize(
    "ts", ["2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "1969-12-31T23:59:59Z", "2026-01-01T00:00:00"]
)
def test_no_times(ts: str) -> None:
    assert timestamp_ns(ts) is None


@given(
    st.integers(0, (1 << 35) * SECOND - 1),
    st.text(max_size=300),
    st.dictionaries(st.sampled_from([name for name in METADATA if name != "app"]), st.text(min_size=1, max_size=200)),
    st.text(max_size=20),
)
def test_protobuf_is_read_back_by_another_hand(ns: int, msg: str, fields: dict[str, str], emitter: str) -> None:
    text = json.dumps({"emitter": emitter, "msg": msg, **fields}).encode()
    (one,) = made([text])
    one.ns = ns
    ((labels, read, stored, metadata),) = pushed([one])
    assert (read, stored) == (ns, text.decode())
    assert metadata.pop("seq")
    assert metadata == fields
    assert (parse_labels(labels) or {})["emitter"] == emitter


@given(st.integers(0, 1 << 63))
def test_varint(number: int) -> None:
    blob = varint(number)
    assert sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(blob)) == number
    assert all(byte >= 0x80 for byte in blob[:-1])
    assert blob[-1] < 0x80


def test_large_lines() -> None:
    for size in (127, 128, 16_383, 16_384, 262_144):
        text = "x" * size
        streams = {labels_text([("a", "b")]): [entry(1, text.encode(), b"")]}
        import cramjam

        from logops_fast.shipper.push_request import request

        (found,) = decode_push(bytes(cramjam.snappy.compress_raw(request(streams))))
        assert found[1][0].line == text
