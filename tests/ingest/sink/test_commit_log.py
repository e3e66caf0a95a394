from __future__ import annotations

import errno
import os
import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.sink.append_file import EndMovedError
from logops_fast.ingest.sink.commit_log import (
    MAGIC,
    MAX_BYTES,
    SEGMENT_BYTES,
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
from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError
from tests.ingest.sink.support import NOON, FaultyOps, entry

records = st.builds(
    GroupRecord,
    st.floats(0, 4e9),
    st.lists(
        st.builds(Part, st.just("d.ndjson"), st.integers(0, 2**63), st.integers(0, 2**40), st.integers(0, 2**40)),
        max_size=2,
    ).map(tuple),
    st.lists(
        st.builds(
            LedgerEntry,
            st.text("abc.-", max_size=64),
            st.text("abc~", max_size=128),
            st.binary(max_size=300),
            st.integers(0, 2**64 - 1),
        ),
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


def test_a_segment_of_version_04_is_read_without_digests() -> None:
    entries = b"".join(
        struct.pack("<HHI", len(emitter), len(name), len(answer)) + emitter + name + answer
        for emitter, name, answer in ((b"web", b"b-1", b"{}"), (b"app", b"b-2", b""))
    )
    payload = struct.pack("<dBI", NOON, 0, 2) + entries
    blob = b"LOGOPSJ1" + struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    expected = GroupRecord(NOON, (), (LedgerEntry("web", "b-1", b"{}"), LedgerEntry("app", "b-2", b"")))
    assert list(decode_segment(blob)) == [expected]


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


def test_the_size_of_the_segments_is_bounded_and_many_small_ones_are_kept(tmp_path: Path) -> None:
    for number in range(1, 10):
        for worker in (0, 1):
            rewrite_segment(tmp_path / f"w{worker}.{number:010d}.log", [])
    log = CommitLog(tmp_path, 0, wall=lambda: 0.0, ops=FileOps())
    log.prune()
    assert len(segments(tmp_path)[0]) == 9, "after many restarts the ids of the last ten minutes are still there"
    for path in (*segments(tmp_path)[0], *segments(tmp_path)[1]):
        os.truncate(path, SEGMENT_BYTES)
    log.prune()
    left = segments(tmp_path)
    assert len(left[0]) == MAX_BYTES // SEGMENT_BYTES
    assert left[0][-1].name == "w0.0000000009.log"
    assert len(left[1]) == 9, "the other worker's are not touched"


def written(directory: Path) -> list[list[str]]:
    """The batch ids in each record of each segment, oldest first."""
    return [
        [e.batch_id for e in record.entries]
        for path in segments(directory)[0]
        for record in decode_segment(path.read_bytes())
    ]


def put(log: CommitLog, number: int) -> None:
    log.append([Part("f", 1, 0, 1)], [encode_entry(entry(number))])
    log.accept()


def test_a_checkpoint_is_written_once_after_a_group(tmp_path: Path) -> None:
    log = CommitLog(tmp_path, 0, wall=lambda: NOON, ops=FileOps())
    log.checkpoint()
    assert segments(tmp_path) == {}
    put(log, 1)
    log.checkpoint()
    log.checkpoint()
    put(log, 2)
    log.close()
    assert written(tmp_path) == [["batch-1"], [], ["batch-2"]]


@pytest.mark.parametrize("how", ["removed", "folder removed", "renamed", "cut"])
def test_a_segment_that_another_program_took_away_is_followed_by_a_new_one(tmp_path: Path, how: str) -> None:
    directory = tmp_path / "journal"
    log = CommitLog(directory, 0, wall=lambda: NOON, ops=FileOps())
    put(log, 1)
    log.follow()
    put(log, 2)
    assert written(directory) == [["batch-1"], ["batch-2"]]
    (path,) = segments(directory)[0]
    if how == "renamed":
        path.rename(tmp_path / "elsewhere")
    elif how == "cut":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
        if how == "folder removed":
            directory.rmdir()
    log.follow()
    put(log, 3)
    log.close()
    assert written(directory)[-1] == ["batch-3"]


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


def test_a_segment_that_cannot_be_removed_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        rewrite_segment(tmp_path / f"w0.{number:010d}.log", [])
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name == "w0.0000000002.log":
            raise PermissionError
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    CommitLog(tmp_path, 0, wall=lambda: time.time() + 10_000, ops=FileOps()).prune()
    assert [path.name for path in segments(tmp_path)[0]] == ["w0.0000000002.log"]


def test_a_record_after_one_that_another_program_cut_can_be_read(tmp_path: Path) -> None:
    log = CommitLog(tmp_path, 0, wall=lambda: NOON, ops=FileOps())
    put(log, 1)
    (path,) = segments(tmp_path)[0]
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(EndMovedError):
        put(log, 2)
    log.rollback()
    put(log, 2)
    log.close()
    assert written(tmp_path)[-1] == ["batch-2"]


def test_a_record_that_could_not_be_written_makes_the_journal_dirty(tmp_path: Path) -> None:
    ops = FaultyOps()
    log = CommitLog(tmp_path, 0, wall=lambda: NOON, ops=ops)
    put(log, 1)
    assert not log.dirty
    ops.fail, ops.short = {"write": errno.ENOSPC}, 3
    with pytest.raises(StepFailedError):
        put(log, 2)
    assert log.dirty
    ops.fail = {}
    log.rollback()
    put(log, 3)
    log.close()
    assert written(tmp_path) == [["batch-1"], ["batch-3"]]


def test_a_rollback_cuts_the_record_away_at_once(tmp_path: Path) -> None:
    log = CommitLog(tmp_path, 0, wall=lambda: NOON, ops=FileOps())
    log.append([], [encode_entry(entry(1))])
    log.accept()
    (segment,) = segments(tmp_path)[0]
    size = segment.stat().st_size
    log.append([], [encode_entry(entry(2))])
    assert segment.stat().st_size > size
    log.rollback()
    assert segment.stat().st_size == size
    assert not log.dirty
    log.close()


def test_a_record_that_was_neither_accepted_nor_cut_away_is_cut_before_the_next(tmp_path: Path) -> None:
    log = CommitLog(tmp_path, 0, wall=lambda: NOON, ops=FileOps())
    for number in (1, 2, 3):
        log.append([], [encode_entry(entry(number))])
        if number != 2:
            log.accept()
    log.close()
    read = decode_segment(segments(tmp_path)[0][0].read_bytes())
    assert [r.entries[0].batch_id for r in read] == ["batch-1", "batch-3"]


def test_a_segment_lasts_one_ttl_is_closed_then_and_removed_after_two(tmp_path: Path) -> None:
    clock = Clock()
    start = clock.now
    log = CommitLog(tmp_path, 0, wall=clock, ops=FileOps(), ttl=600)

    def write_at(moment: float) -> list[str]:
        clock.now = start + moment
        log.append([], [])
        log.accept()
        found = segments(tmp_path)[0]
        os.utime(found[-1], (clock.now, clock.now))
        return [path.name for path in found]

    assert write_at(0) == write_at(599) == ["w0.0000000001.log"]
    first = log._current
    assert first is not None
    assert write_at(600) == ["w0.0000000001.log", "w0.0000000002.log"]
    assert first.fd < 0
    log.prune()
    assert write_at(1199) == ["w0.0000000001.log", "w0.0000000002.log"]
    clock.now = start + 599 + 1200 + 1
    log.prune()
    assert [path.name for path in segments(tmp_path)[0]] == ["w0.0000000002.log"]
    log.close()
