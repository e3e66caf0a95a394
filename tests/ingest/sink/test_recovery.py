from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logops_fast.ingest.sink.append_file import COPY_BYTES
from logops_fast.ingest.sink.commit_log import MAGIC, TTL, Part, encode_entry, encode_record, segments
from logops_fast.ingest.sink.day_files import link_names, parse_name
from logops_fast.ingest.sink.group_writer import Group, GroupWriter, WorkerLock
from logops_fast.ingest.sink.recovery import RecoveryReport, Remembered, boot_time, kept_end, recover, replay
from tests.ingest.sink.support import DAY, NOON, Crash, CrashingOps, data, entry
from tests.support.examples import examples


def writer_in(
    path: Path, ops: CrashingOps, worker: int = 0, workers: int = 1, wall: float = NOON
) -> tuple[GroupWriter, WorkerLock]:
    lock = WorkerLock(path, worker)
    return GroupWriter(path, durable=False, worker=worker, workers=workers, lock=lock, wall=lambda: wall, ops=ops), lock


Batches = list[tuple[bytes, bytes, int | None]]


def group_of(batches: Batches) -> Group:
    group = Group(DAY)
    for lines, rejected, number in batches:
        group.add(lines, rejected, None if number is None else encode_entry(entry(number)))
    return group


AFTER_POWER_LOSS = NOON + 1


def recovered(path: Path, worker: int = 0, workers: int = 1, now: float = NOON, booted: float = 0.0) -> RecoveryReport:
    return recover(path, worker=worker, workers=workers, now=now, booted=booted)


def ids(report: RecoveryReport) -> list[str]:
    return [batch.batch_id for batch in report.remembered]


def written(
    path: Path,
    groups: list[Batches],
    crash_after: int | None = None,
    before_last: Callable[[], object] = lambda: None,
    wall: float = NOON,
    **workers: int,
) -> bool:
    """Commit the groups; the last one dies after that many bytes. Return whether it did."""
    ops = CrashingOps()
    writer, lock = writer_in(path, ops, wall=wall, **workers)
    crashed = False
    for position, batches in enumerate(groups):
        if position == len(groups) - 1:
            before_last()
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


@settings(max_examples=examples(1.5))
@given(histories, st.integers(1, 400), st.booleans())
def test_after_a_crash_at_any_byte_a_journalled_group_is_stored_as_a_whole_or_not_at_all(
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


@settings(max_examples=examples(0.5))
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
            assert "unacknowledged" in report.text()


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


@pytest.mark.parametrize(("passed", "age"), [(0, 0.0), (-5, 0.0), (TTL, TTL)])
def test_an_entry_has_an_age_up_to_the_ttl_and_no_less_than_none(tmp_path: Path, passed: float, age: float) -> None:
    written(tmp_path, [[(b"good\n", b"", 1)]])
    assert [batch.age for batch in recovered(tmp_path, now=NOON + passed).remembered] == [age]


def test_old_entries_do_not_hide_newer_ones(tmp_path: Path) -> None:
    written(tmp_path, [[(b"1\n", b"", 1)]], wall=NOON)
    written(tmp_path, [[(b"2\n", b"", 2)]], wall=NOON + TTL)
    assert ids(recovered(tmp_path, now=NOON + TTL + 1)) == ["batch-2"]


def test_the_newest_are_remembered_if_there_are_too_many(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", n)] for n in range(1, 6)])
    report = recover(tmp_path, worker=0, workers=1, now=NOON, booted=0.0, limit=2)
    assert ids(report) == ["batch-4", "batch-5"]


def test_a_stored_file_that_was_moved_away_is_still_remembered(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)]])
    (tmp_path / f"{DAY}.ndjson").rename(tmp_path / "elsewhere")
    written(tmp_path, [[(b"b\n", b"", 2)]])
    assert ids(recovered(tmp_path)) == ["batch-1", "batch-2"]


def test_a_stored_group_that_lost_its_end_with_the_power_is_forgotten_for_good(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"bbbb\n", b"", 2)], [(b"c\n", b"", 3)]])
    os.truncate(tmp_path / f"{DAY}.ndjson", 4)
    assert ids(recovered(tmp_path, booted=AFTER_POWER_LOSS)) == ["batch-1"]
    assert data(tmp_path) == b"a\n"
    written(tmp_path, [[(b"others, and longer ones\n", b"", None)]])
    assert ids(recovered(tmp_path, booted=AFTER_POWER_LOSS)) == ["batch-1"]


def test_a_complete_last_group_stays_whatever_was_lost_before_it(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"", b"r\n", 2)]])
    os.truncate(tmp_path / f"{DAY}.ndjson", 0)
    assert ids(recovered(tmp_path, booted=AFTER_POWER_LOSS)) == ["batch-2"]
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"r\n"


def test_recovery_leaves_no_file_open(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)]])
    before = os.listdir("/proc/self/fd")
    recovered(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_a_start_would_keep_of_a_file_is_known_before_it(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.ndjson"

    def kept(size: int) -> int:
        return kept_end(tmp_path, 0, path.stat().st_ino, size)

    path.write_bytes(b"")
    assert kept(7) == 7, "there is no journal"
    path.unlink()
    written(tmp_path, [[(b"one\n", b"", 1)], [(b"three\n", b"", 2)]])
    assert [kept(size) for size in (2, 4, 10)] == [2, 4, 10]
    assert kept_end(tmp_path, 0, path.stat().st_ino + 1, 10) == 10, "a file that the last group is not in"
    with path.open("r+b") as file:
        file.seek(6)
        file.write(b"\0")
    assert kept(10) == 4, "the last group has a hole"
    os.truncate(path, 8)
    assert kept(8) == 4, "the last group is cut"


def test_a_hole_in_the_last_group_makes_it_incomplete(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"line\nline\n", b"", 2)]])
    with (tmp_path / f"{DAY}.ndjson").open("r+b") as file:
        file.seek(4)
        file.write(b"\0\0")
    assert ids(recovered(tmp_path)) == ["batch-1"]
    assert data(tmp_path) == b"a\n"


def test_worker_0_recovers_workers_that_do_not_exist_any_more_but_no_live_ones(tmp_path: Path) -> None:
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


def test_the_log_says_how_many_ids_were_remembered(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"b\n", b"", 2)]])
    assert recovered(tmp_path).text() == "remembered 2 stored batch ids from the journal"


def test_nothing_to_do_says_nothing(tmp_path: Path) -> None:
    assert recovered(tmp_path) == RecoveryReport()
    assert RecoveryReport().text() == ""


@pytest.mark.parametrize(
    "junk", [b"", b"LOGO", b"x" * 100, b"LOGOPSJ1\xff\xff\xff\xff1234", b"LOGOPSJ2\xff\xff\xff\xff1234"]
)
def test_a_damaged_journal_does_not_stop_the_start(tmp_path: Path, junk: bytes) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)]])
    (tmp_path / ".journal" / "w0.0000000009.log").write_bytes(junk)
    assert ids(recovered(tmp_path)) == ["batch-1"]
    assert ids(recovered(tmp_path)) == ["batch-1"]


class Answers:
    def __init__(self) -> None:
        self.finished: list[tuple[str, str, bytes, int]] = []
        self.ttls: list[float | None] = []

    def finish(self, emitter: str, batch_id: str, answer: bytes, digest: int = 0, ttl: float | None = None) -> None:
        self.finished.append((emitter, batch_id, answer, digest))
        self.ttls.append(ttl)


def test_every_stored_batch_is_finished_with_its_first_answer() -> None:
    answers = Answers()
    report = RecoveryReport((Remembered("web", "a", b"1", 7, 5.0), Remembered("app", "a", b"2", 0, 1.0)))
    assert replay(report, answers) == 2
    assert answers.finished == [("web", "a", b"1", 7), ("app", "a", b"2", 0)]
    assert answers.ttls == [None, None]


def test_a_batch_is_recognised_by_its_body_for_what_is_left_of_the_window() -> None:
    answers = Answers()
    report = RecoveryReport((Remembered("web", "body:1", b"1", 7, 5.0), Remembered("web", "body:2", b"2", 7, 60.0)))
    replay(report, answers, window=60.0)
    assert [batch_id for _, batch_id, _, _ in answers.finished] == ["body:1"]
    assert answers.ttls == [55.0]


# What other programs did to the files before the crash.


def renamed(path: Path) -> Callable[[], None]:
    """A log rotation that moves both of the day's files away."""

    def rename() -> None:
        for number, folder in enumerate((path, path / "rejected")):
            if (folder / f"{DAY}.ndjson").exists():
                (folder / f"{DAY}.ndjson").rename(path / f"rotated-{number}")

    return rename


def rotated(path: Path, number: int) -> bytes:
    parts = (path / f"rotated-{number}", (path, path / "rejected")[number] / f"{DAY}.ndjson")
    return b"".join(part.read_bytes() for part in parts if part.exists())


@settings(max_examples=examples(1.5))
@given(histories, st.integers(1, 400), st.booleans())
def test_a_group_in_a_file_renamed_just_before_the_crash_is_stored_as_a_whole_or_not_at_all(
    groups: list[Batches], crash_after: int, again: bool
) -> None:
    groups[-1].append((b"last\n", b"bad\n", 999))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        written(path, groups, crash_after, renamed(path))
        report = recovered(path)
        assert not any((path / ".journal" / name).exists() for name in link_names(0))
        if again:
            assert ids(recovered(path)) == ids(report)
        if "batch-999" not in ids(report):  # what a sender without an answer does
            written(path, [groups[-1]])
        for number in (0, 1):
            expected = [batch[:2][number] for group in groups for batch in group]
            assert rotated(path, number) == b"".join(expected)


def test_a_torn_line_in_a_renamed_file_is_cut_out_of_it(tmp_path: Path) -> None:
    written(tmp_path, [[(b"good\n", b"", None)], [(b"torn line\n", b"", None)]], 4, renamed(tmp_path))
    report = recovered(tmp_path)
    assert (tmp_path / "rotated-0").read_bytes() == b"good\n"
    (torn,) = tmp_path.glob("*.torn")
    assert parse_name(torn.name) is not None, "housekeeping removes it with the others"
    assert torn.read_bytes() == b"torn\n"
    assert report.torn == ((torn.name.removesuffix(".torn"), 4),)


@pytest.mark.parametrize("how", ["deleted", "deleted and created again", "moved to another file system"])
def test_a_group_whose_file_is_gone_is_not_stored(tmp_path: Path, how: str) -> None:
    path = tmp_path / f"{DAY}.ndjson"

    def take_away() -> None:
        path.unlink()
        if how == "deleted and created again":
            path.write_bytes(b"foreign, and longer than what was there\n")
        elif how == "moved to another file system":
            (tmp_path / "copy").write_bytes(b"1\n")

    written(tmp_path, [[(b"1\n", b"", 1)], [(b"2\n", b"s\n", 2)]], None, take_away)
    report = recovered(tmp_path)
    assert ids(report) == ["batch-1"], "the first was complete; a repeat of the second stores it, for no file has it"
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"", "all of the group is stored again"
    if how == "deleted and created again":
        assert path.read_bytes() == b"foreign, and longer than what was there\n"


def test_groups_before_a_truncation_stay_stored(tmp_path: Path) -> None:
    """Log rotation by copy and truncate."""
    path = tmp_path / f"{DAY}.ndjson"
    written(
        tmp_path, [[(b"1\n", b"", 1)], [(b"two\n", b"", 2)], [(b"3\n", b"", 3)]], None, lambda: os.truncate(path, 0)
    )
    assert ids(recovered(tmp_path)) == ["batch-1", "batch-2", "batch-3"]
    assert data(tmp_path) == b"3\n"


@pytest.mark.parametrize("size", [0, 2, 3])
def test_the_last_group_is_not_stored_if_another_program_cut_its_file(tmp_path: Path, size: int) -> None:
    """It may not have been written before the cut: a repeat of it must not be answered and lost."""
    written(tmp_path, [[(b"1\n", b"", 1)], [(b"two\n", b"", 2)]])
    os.truncate(tmp_path / f"{DAY}.ndjson", size)
    assert ids(recovered(tmp_path)) == ["batch-1"]
    assert data(tmp_path) == b"1\n"[:size]


def test_a_group_of_which_no_byte_was_written_is_not_stored(tmp_path: Path) -> None:
    written(tmp_path, [[(b"1\n", b"", 1)]])
    record = len(encode_record(NOON, [Part(f"{DAY}.ndjson", 1, 2, 4)], [encode_entry(entry(2))])) + len(MAGIC)
    assert written(tmp_path, [[(b"2\n", b"", 2)]], crash_after=record)
    assert ids(recovered(tmp_path)) == ["batch-1"]


def test_nuls_outside_of_the_last_group_are_not_its_hole(tmp_path: Path) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"line\nline\n", b"", 2)]])
    with (tmp_path / f"{DAY}.ndjson").open("r+b") as file:
        file.write(b"\0")
        file.seek(0, os.SEEK_END)
        file.write(b"\0\0")
    assert ids(recovered(tmp_path)) == ["batch-1", "batch-2"]


@pytest.mark.parametrize("hole", [0, COPY_BYTES - 1, COPY_BYTES, 2 * COPY_BYTES + 5])
def test_a_hole_anywhere_in_a_large_group_makes_it_incomplete(tmp_path: Path, hole: int) -> None:
    written(tmp_path, [[(b"a\n", b"", 1)], [(b"x" * (2 * COPY_BYTES + 9) + b"\n", b"", 2)]])
    with (tmp_path / f"{DAY}.ndjson").open("r+b") as file:
        file.seek(2 + hole)
        file.write(b"\0")
    assert ids(recovered(tmp_path)) == ["batch-1"]


def test_a_file_that_another_process_writes_to_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.w7.ndjson"
    path.write_bytes(b"whole\nin the middle of a")
    with path.open("r+b") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert recovered(tmp_path).torn == ()
        assert path.read_bytes() == b"whole\nin the middle of a"
    assert recovered(tmp_path).torn == ((path.name, 18),)


def test_recovery_says_that_what_it_found_is_complete(tmp_path: Path) -> None:
    written(tmp_path, [[(b"1\n", b"", 1)]])
    recovered(tmp_path)
    (tmp_path / f"{DAY}.ndjson").unlink()
    assert ids(recovered(tmp_path)) == ["batch-1"]
    count = len(segments(tmp_path / ".journal")[0])
    recovered(tmp_path)
    assert len(segments(tmp_path / ".journal")[0]) == count, "once is enough"


def test_the_boot_of_this_machine_was_in_the_past() -> None:
    assert 0 < boot_time() <= time.time()


def test_a_system_that_does_not_say_when_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    before = time.time()
    assert before <= boot_time() <= time.time()


def test_a_file_that_another_worker_archives_during_the_start_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    # Listed, and gone when it is opened: what a dangling link looks like every time.
    (tmp_path / "20241124.ndjson").symlink_to(tmp_path / "archived")
    (tmp_path / "20241125.ndjson").write_bytes(b"a\nhalf")
    assert recovered(tmp_path).torn == (("20241125.ndjson", 4),)


def test_every_file_of_a_group_is_looked_at_even_if_one_is_gone(tmp_path: Path) -> None:
    written(tmp_path, [[(b"1\n", b"r\n", 1)], [(b"2\n", b"", 2)]])
    (tmp_path / "rejected" / f"{DAY}.ndjson").unlink()
    os.truncate(tmp_path / f"{DAY}.ndjson", 1)
    assert ids(recovered(tmp_path, booted=AFTER_POWER_LOSS)) == []


def test_a_torn_line_in_a_deleted_file_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.ndjson"
    written(tmp_path, [[(b"good\n", b"", None)], [(b"torn line\n", b"", None)]], 4, path.unlink)
    assert recovered(tmp_path).torn == ()
    assert list(tmp_path.glob("*.torn")) == []
