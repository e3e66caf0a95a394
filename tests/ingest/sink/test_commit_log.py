from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.sink.append_file import FileOps
from logops_fast.ingest.sink.commit_log import (
    MAGIC,
    MAX_SEGMENTS,
    CommitLog,
    GroupRecord,
    LedgerEntry,
    Part,
    decode_segment,
    encode_entry,
    encode_record,
    rewrite_segment,
    segments,
)
from tests.ingest.sink.support import NOON, entry

records = st.builds(
    GroupRecord,
    st.floats(0, 4e9),
    st.lists(
        st.builds(Part, st.just("d.ndjson"), st.integers(0, 2**63), st.integers(0, 2**40), st.integers(0, 2**40)),
        max_size=2,
    ).map(tuple),
    st.lists(
        st.builds(LedgerEntry, st.text("abc.-", max_size=64), st.text("abc~", max_size=128), st.binary(max_size=300)),
        max_size=4,
    ).map(tuple),
)


def encoded(record: GroupRecord) -> bytes:
    return encode_record(record.wall, record.parts, [encode_entry(e) for e in record.entries])


@given(st.lists(records, max_size=5))
def test_what_is_written_is_read_back(written: list[GroupRecord]) -> None:
    assert list(decode_segment(MAGIC + b"".join(map(encoded, written)))) == written


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_cut_segment_gives_the_whole_records_before_the_cut(written: list[GroupRecord], data: st.DataObject) -> None:
    pieces = [encoded(record) for record in written]
    blob = MAGIC + b"".join(pieces)
    cut = data.draw(st.integers(0, len(blob)))
    whole, at = 0, len(MAGIC)
    while whole < len(pieces) and at + len(pieces[whole]) <= cut:
        at += len(pieces[whole])
        whole += 1
    assert list(decode_segment(blob[:cut])) == written[:whole]


@given(st.lists(records, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_never_gives_a_record_that_was_not_written(
    written: list[GroupRecord], data: st.DataObject
) -> None:
    blob = bytearray(MAGIC + b"".join(map(encoded, written)))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= 1 << data.draw(st.integers(0, 7))
    read = list(decode_segment(bytes(blob)))
    assert read == written[: len(read)]
    assert len(read) < len(written)


def test_ids_that_cannot_be_written_are_refused_before_they_meet_others() -> None:
    with pytest.raises((ValueError, struct.error)):
        encode_entry(LedgerEntry("web", "x" * 70_000, b""))
    with pytest.raises(ValueError, match="surrogates"):
        encode_entry(LedgerEntry("web", "\ud800", b""))


def test_a_segment_is_rewritten_with_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "w0.0000000001.log"
    kept = GroupRecord(NOON, (), (entry(1),))
    rewrite_segment(path, [kept])
    assert list(decode_segment(path.read_bytes())) == [kept]
    assert path.stat().st_mode & 0o777 == 0o600


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def test_a_new_segment_each_ttl_and_old_ones_are_removed(tmp_path: Path) -> None:
    clock = Clock()
    log = CommitLog(tmp_path, 0, wall=clock, ops=FileOps(), ttl=600)
    for number in range(5):
        log.append([], [encode_entry(entry(number))])
        log.accept()
        newest = segments(tmp_path)[0][-1]
        os.utime(newest, (clock.now, clock.now))
        clock.now += 599 if number == 0 else 700
    names = [path.name for path in segments(tmp_path)[0]]
    log.prune()
    left = [path.name for path in segments(tmp_path)[0]]
    assert names[-1] == left[-1]
    assert len(left) < 5
    read = [r.entries[0] for path in segments(tmp_path)[0] for r in decode_segment(path.read_bytes())]
    assert read[-1] == entry(4)
    log.close()


def test_a_clock_that_was_stepped_back_starts_a_new_segment(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = time.time()  # segments are removed by their mtime, which is real
    log = CommitLog(tmp_path, 0, wall=clock, ops=FileOps())
    for _ in range(2):
        log.append([], [])
        log.accept()
        clock.now -= 3600
    assert len(segments(tmp_path)[0]) == 2
    log.close()


def test_the_number_of_segments_is_bounded(tmp_path: Path) -> None:
    for number in range(1, 10):
        rewrite_segment(tmp_path / f"w0.{number:010d}.log", [])
        rewrite_segment(tmp_path / f"w1.{number:010d}.log", [])
    CommitLog(tmp_path, 0, wall=lambda: 0.0, ops=FileOps()).prune()
    left = segments(tmp_path)
    assert len(left[0]) == MAX_SEGMENTS
    assert left[0][-1].name == "w0.0000000009.log"
    assert len(left[1]) == 9, "the other worker's are its own"


def test_a_record_that_was_rolled_back_is_gone(tmp_path: Path) -> None:
    log = CommitLog(tmp_path, 0, wall=lambda: NOON, ops=FileOps())
    for number in (1, 2, 3):
        log.append([], [encode_entry(entry(number))])
        if number == 2:
            log.rollback()
        else:
            log.accept()
    log.accept()
    log.close()
    read = decode_segment(segments(tmp_path)[0][0].read_bytes())
    assert [r.entries[0].batch_id for r in read] == ["batch-1", "batch-3"]
