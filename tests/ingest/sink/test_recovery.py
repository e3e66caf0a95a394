from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logops_fast.ingest.sink.commit_log import decode_segment, encode_entry, segments
from logops_fast.ingest.sink.group_writer import Group, GroupWriter, WorkerLock
from logops_fast.ingest.sink.recovery import RecoveryReport, recover
from tests.ingest.sink.support import DAY, NOON, Crash, CrashingOps, data, entry


def writer_in(path: Path, ops: CrashingOps, worker: int = 0, workers: int = 1) -> tuple[GroupWriter, WorkerLock]:
    lock = WorkerLock(path, worker)
    return GroupWriter(path, durable=False, worker=worker, workers=workers, lock=lock, wall=lambda: NOON, ops=ops), lock


Batches = list[tuple[bytes, bytes, int | None]]


def group_of(batches: Batches) -> Group:
    group = Group(DAY)
    for lines, rejected, number in batches:
        group.add(lines, rejected, None if number is None else encode_entry(entry(number)))
    return group


def recovered(path: Path, worker: int = 0, workers: int = 1, now: float = NOON) -> RecoveryReport:
    return recover(path, worker=worker, workers=workers, now=now)


def ids(report: RecoveryReport) -> list[str]:
    return [batch.batch_id for batch in report.remembered]


def written(path: Path, groups: list[Batches], crash_after: int | None = None, **workers: int) -> bool:
    """Commit the groups; the last one dies after that many bytes. Whether it did."""
    ops = CrashingOps()
    writer, lock = writer_in(path, ops, **workers)
    crashed = False
    for position, batches in enumerate(groups):
        if crash_after is not None and position == len(groups) - 1:
            ops.budget = crash_after
        try:
            writer.commit(group_of(batches))
        except Crash:
            crashed = True
    ops.die()
    lock.release()
    return crashed


line_blocks = st.lists(st.text("xyz", max_size=6), max_size=4).map(lambda ls: "".join(f"{t}\n" for t in ls).encode())


batches = st.tuples(line_blocks, line_blocks, st.booleans())


def numbered(groups: list[list[tuple[bytes, bytes, bool]]]) -> list[Batches]:
    """Give each journalled batch a number of its own."""
    numbers = iter(range(1000))
    return [[(lines, bad, next(numbers) if journalled else None) for lines, bad, journalled in g] for g in groups]


histories = st.lists(st.lists(batches, min_size=1, max_size=3), min_size=1, max_size=4).map(numbered)


@settings(max_examples=150, deadline=None)
@given(histories, st.integers(1, 400), st.booleans())
def test_wherever_a_crash_hits_a_journalled_group_it_is_there_as_a_whole_or_not_at_all(
    groups: list[Batches], crash_after: int, again: bool
) -> None:
    groups[-1].append((b"last\n", b"", 999))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        written(path, groups, crash_after)
        report = recovered(path)
        if again:  # a second crash during the start, or a second start, changes nothing
            assert ids(recovered(path)) == ids(report)
        whole = "batch-999" in ids(report)
        expected = groups if whole else groups[:-1]
        lines = data(path) if (path / f"{DAY}.ndjson").exists() else b""
        bad = path / "rejected" / f"{DAY}.ndjson"
        assert lines == b"".join(batch[0] for group in expected for batch in group)
        assert (bad.read_bytes() if bad.exists() else b"") == b"".join(b[1] for group in expected for b in group)
        assert ids(report) == [f"batch-{b[2]}" for group in expected for b in group if b[2] is not None]
        # What comes after must not make the old record look complete.
        written(path, [[(b"after\n" * 100, b"", None)]])
        assert ids(recovered(path)) == ids(report)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60))
def test_without_a_journal_whole_lines_stay_and_the_torn_one_goes(crash_after: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        text = b"first line\nsecond line\nthird line\n"
        written(path, [[(text, b"", None)]], crash_after)
        report = recovered(path)
        kept = text[:crash_after]
        kept, torn = kept[: kept.rfind(b"\n") + 1], kept[kept.rfind(b"\n") + 1 :]
        assert data(path) == kept
        assert report.torn_bytes == len(torn)
        if torn:
            assert (path / f"{DAY}.ndjson.torn").read_bytes() == torn + b"\n"
            assert "never acknowledged" in report.text()


def test_an_incomplete_group_is_moved_to_torn_with_its_whole_lines(tmp_path: Path) -> None:
    written(tmp_path, [[(b"good\n", b"", 1)]])
    record = (tmp_path / ".journal").joinpath("w0.0000000001.log").stat().st_size
    assert written(tmp_path, [[(b"one\ntwo\nthree\n", b"", 2)]], crash_after=record + 9)
    assert data(tmp_path) == b"good\none\ntwo\nt"
    report = recovered(tmp_path)
    assert data(tmp_path) == b"good\n"
    assert report.torn == ((f"{DAY}.ndjson", 9),)
    assert (tmp_path / f"{DAY}.ndjson.torn").read_bytes() == b"one\ntwo\nt\n"
    assert ids(report) == ["batch-1"]


def test_entries_older_than_the_ttl_are_not_remembered_but_their_torn_group_is_cut(tmp_path: Path) -> None:
    written(tmp_path, [[(b"good\n", b"", 1)]])
    report = recovered(tmp_path, now=NOON + 601)
    assert report.remembered == ()
    assert [b.age for b in recovered(tmp_path, now=NOON + 60).remembered] == [60.0]


def test_the_newest_are_remembered_where_there_are_too_many(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", n)] for n in range(1, 6)])
    report = recover(tmp_path, worker=0, workers=1, now=NOON, limit=2)
    assert ids(report) == ["batch-4", "batch-5"]


def test_a_stored_file_that_was_moved_away_is_still_remembered(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)]])
    (tmp_path / f"{DAY}.ndjson").rename(tmp_path / "elsewhere")
    written(tmp_path, [[(b"b\n", b"", 2)]])
    assert ids(recovered(tmp_path)) == ["batch-1", "batch-2"]


def test_a_stored_group_that_lost_its_end_with_the_power_is_forgotten_for_good(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"bbbb\n", b"", 2)], [(b"c\n", b"", 3)]])
    os.truncate(tmp_path / f"{DAY}.ndjson", 4)
    assert ids(recovered(tmp_path)) == ["batch-1"]
    assert data(tmp_path) == b"a\n"
    written(tmp_path, [[(b"others, and longer ones\n", b"", None)]])
    assert ids(recovered(tmp_path)) == ["batch-1"]


def test_a_hole_in_the_last_group_makes_it_incomplete(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"line\nline\n", b"", 2)]])
    with (tmp_path / f"{DAY}.ndjson").open("r+b") as file:
        file.seek(4)
        file.write(b"\0\0")
    assert ids(recovered(tmp_path)) == ["batch-1"]
    assert data(tmp_path) == b"a\n"


def test_worker_0_looks_after_workers_that_are_no_more_but_not_after_live_ones(tmp_path: Path) -> None:
    for worker in (0, 1, 2):
        lines: Batches = [(b"%d\n" % worker, b"", 10 + worker)]
        written(tmp_path, [lines], worker=worker, workers=3)
        with (tmp_path / f"{DAY}.w{worker}.ndjson").open("ab") as file:
            file.write(b"torn")
    alive = WorkerLock(tmp_path, 2)
    assert ids(recovered(tmp_path, 0, 1)) == ["batch-10", "batch-11"]
    alive.release()
    assert ids(recovered(tmp_path, 1, 2)) == ["batch-11"]
    assert ids(recovered(tmp_path, 0, 2)) == ["batch-10", "batch-12"]
    for worker in (0, 1, 2):
        assert (tmp_path / f"{DAY}.w{worker}.ndjson").read_bytes() == b"%d\n" % worker


def test_yesterdays_torn_line_is_found_too_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rejected").mkdir()
    (tmp_path / "20241125.ndjson").write_bytes(b"a\nhalf")
    (tmp_path / "rejected" / "20241125.ndjson").write_bytes(b"half")
    (tmp_path / "notes.ndjson").write_bytes(b"half")
    report = recovered(tmp_path)
    assert sorted(report.torn) == [("20241125.ndjson", 4), ("rejected/20241125.ndjson", 4)]
    assert (tmp_path / "notes.ndjson").read_bytes() == b"half"
    assert recovered(tmp_path).torn == ()


def test_nothing_to_do_says_nothing(tmp_path: Path) -> None:
    assert recovered(tmp_path) == RecoveryReport()
    assert RecoveryReport().text() == ""


@pytest.mark.parametrize("junk", [b"", b"LOGO", b"x" * 100, b"LOGOPSJ1\xff\xff\xff\xff1234"])
def test_a_damaged_journal_does_not_stop_the_start(tmp_path: Path, junk: bytes) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)]])
    (tmp_path / ".journal" / "w0.0000000009.log").write_bytes(junk)
    assert ids(recovered(tmp_path)) == ["batch-1"]
    assert list(decode_segment(segments(tmp_path / ".journal")[0][-1].read_bytes())) == []


def test_a_file_that_another_worker_archives_during_the_start_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    # Listed, and gone when it is opened: what a dangling link looks like every time.
    (tmp_path / "20241124.ndjson").symlink_to(tmp_path / "archived")
    (tmp_path / "20241125.ndjson").write_bytes(b"a\nhalf")
    assert recovered(tmp_path).torn == (("20241125.ndjson", 4),)
