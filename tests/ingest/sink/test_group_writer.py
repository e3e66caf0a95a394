from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from logops_fast.ingest.sink.commit_log import GroupRecord, decode_segment, encode_entry, segments
from logops_fast.ingest.sink.file_ops import StepFailedError
from logops_fast.ingest.sink.group_writer import CHECK_INTERVAL, Group, GroupWriter, SinkBusyError, WorkerLock
from tests.ingest.sink.support import DAY, NOON, FaultyOps, data, entry


class World:
    """A writer over a real directory, with clocks that move only when the test moves them."""

    def __init__(self, path: Path, ops: FaultyOps | None = None) -> None:
        self.dir = path
        self.wall = NOON
        self.clock = 0.0
        self.ops = ops or FaultyOps()
        self.writer = GroupWriter(
            path,
            durable=True,
            worker=0,
            workers=1,
            lock=WorkerLock(path, 0),
            wall=lambda: self.wall,
            clock=lambda: self.clock,
            ops=self.ops,
        )

    def put(self, lines: bytes, rejected: bytes = b"", number: int | None = None, day: str = DAY) -> None:
        group = Group(day)
        group.add(lines, rejected, None if number is None else encode_entry(entry(number)))
        self.writer.commit(group)

    def journal(self) -> list[GroupRecord]:
        paths = segments(self.dir / ".journal").get(0, [])
        return [record for path in paths for record in decode_segment(path.read_bytes())]


def test_a_group_goes_to_both_streams_and_the_journal_says_where(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"a\n")
    world.put(b"bb\n", b"bad\n", number=7)
    assert data(tmp_path) == b"a\nbb\n"
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"bad\n"
    (record,) = world.journal()
    assert [(p.name, p.start, p.end) for p in record.parts] == [
        (f"rejected/{DAY}.ndjson", 0, 4),
        (f"{DAY}.ndjson", 2, 5),
    ]
    assert record.entries == (entry(7),)


@pytest.mark.parametrize("only", [f"ingest/{DAY}", f"rejected/{DAY}", ".log"])
@pytest.mark.parametrize("short", [0, 1, 3])
def test_nothing_of_a_group_is_left_if_any_part_of_it_fails(tmp_path: Path, only: str, short: int) -> None:
    world = World(tmp_path / "ingest")
    world.put(b"good\n", b"good\n", number=1)
    before = (data(world.dir), (world.dir / "rejected" / f"{DAY}.ndjson").read_bytes(), world.journal())
    world.ops.fail, world.ops.only, world.ops.short = {"write": errno.ENOSPC}, only, short
    with pytest.raises(StepFailedError) as failed:
        world.put(b"more\n", b"more\n", number=2)
    assert failed.value.operation == "write"
    assert (data(world.dir), (world.dir / "rejected" / f"{DAY}.ndjson").read_bytes(), world.journal()) == before
    world.ops.fail = {}
    world.put(b"next\n", b"next\n", number=3)
    assert data(world.dir) == b"good\nnext\n"
    assert [r.entries[0].batch_id for r in world.journal()] == ["batch-1", "batch-3"]


def test_a_group_that_could_not_be_cut_away_blocks_the_next_until_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"good\n", number=1)
    world.ops.fail, world.ops.only, world.ops.short = {"write": errno.EIO, "truncate": errno.EIO}, f"/{DAY}", 2
    with pytest.raises(StepFailedError) as failed:
        world.put(b"torn\n", number=2)
    assert failed.value.rollback is not None
    assert failed.value.rollback.operation == "truncate"
    assert len(world.journal()) == 2, "the record stays as long as a piece of its group does"
    world.ops.fail = {"truncate": errno.EIO}
    with pytest.raises(StepFailedError, match="truncate"):
        world.put(b"next\n")
    world.ops.fail = {}
    world.put(b"next\n")
    world.put(b"last\n", number=3)
    assert data(tmp_path) == b"good\nnext\nlast\n"
    assert [r.entries[0].batch_id for r in world.journal()] == ["batch-1", "batch-3"]


def test_a_device_that_is_full_for_ever_and_cannot_be_cut(tmp_path: Path) -> None:
    device = tmp_path / f"{DAY}.ndjson"
    try:
        # A node of its own: the lock on /dev/full itself is shared with every other test run on the machine.
        os.mknod(device, 0o600 | stat.S_IFCHR, os.stat("/dev/full").st_rdev)
    except PermissionError:
        device.symlink_to("/dev/full")
    world = World(tmp_path)
    with pytest.raises(StepFailedError, match="No space left") as failed:
        world.put(b"x\n", number=1)
    assert failed.value.rollback is not None
    with pytest.raises(StepFailedError, match="truncate"):
        world.put(b"x\n")


def test_a_new_day_gets_a_new_file_and_the_old_one_is_closed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"old\n", b"r\n")
    world.put(b"new\n", day="20241127")
    assert data(tmp_path) == b"old\n"
    assert data(tmp_path, "20241127") == b"new\n"
    world.wall += 86_400
    world.writer.idle()
    for name in (f"{DAY}.ndjson", f"rejected/{DAY}.ndjson"):
        with (tmp_path / name).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_removed_file_is_noticed_within_a_second(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"old\n")
    (tmp_path / f"{DAY}.ndjson").unlink()
    world.clock += 1
    world.put(b"new\n")
    assert data(tmp_path) == b"new\n"


def test_the_probe_writes_as_much_as_failed_and_leaves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    written: list[int] = []
    world.ops.fail = {"write": errno.ENOSPC}
    with pytest.raises(StepFailedError):
        world.put(b"x" * 100_000 + b"\n")
    with pytest.raises(StepFailedError, match="probe"):
        world.writer.probe()
    world.ops.fail = {}
    real = world.ops.writev
    world.ops.writev = lambda fd, parts: written.append(sum(map(len, parts))) or real(fd, parts)  # type: ignore[method-assign,func-returns-value]
    world.writer.probe()
    assert written == [100_001]
    assert [p.name for p in tmp_path.iterdir() if "probe" in p.name] == []


def test_the_lock_of_a_worker_is_exclusive_and_says_what_to_do(tmp_path: Path) -> None:
    lock = WorkerLock(tmp_path, 0)
    with pytest.raises(SinkBusyError, match="in use by another gateway"):
        WorkerLock(tmp_path, 0)
    WorkerLock(tmp_path, 1).release()
    lock.release()
    WorkerLock(tmp_path, 0).release()


def test_files_are_not_for_the_world_to_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"a\n", b"b\n", number=1)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o007 == 0, path


# What other programs do to the files.


@pytest.mark.parametrize("how", ["renamed", "removed", "replaced"])
def test_a_moved_file_is_followed_within_a_second(tmp_path: Path, how: str) -> None:
    world = World(tmp_path)
    path = tmp_path / f"{DAY}.ndjson"
    world.put(b"1\n", b"r1\n", number=1)
    if how == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "taken")
    if how == "replaced":
        path.write_bytes(b"foreign\n")
    world.put(b"2\n", number=2)
    world.clock += CHECK_INTERVAL
    world.put(b"3\n", b"r3\n", number=3)
    if how != "removed":
        assert (tmp_path / "taken").read_bytes() == b"1\n2\n"
    assert data(tmp_path) == (b"foreign\n" if how == "replaced" else b"") + b"3\n"
    assert [len(record.parts) for record in world.journal()] == [2, 1, 0, 2], "a checkpoint before the file is left"
    world.writer.close()


def test_a_file_that_is_moved_at_once_is_kept_for_a_second_for_readers(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"1\n")
    world.clock += CHECK_INTERVAL - 0.25
    world.put(b"", b"r1\n")  # its file is new
    (tmp_path / "rejected" / f"{DAY}.ndjson").rename(tmp_path / "taken")
    link = tmp_path / ".journal" / "w0.rejected"
    world.clock += CHECK_INTERVAL - 0.25
    world.put(b"", b"r2\n")
    assert link.read_bytes() == b"r1\nr2\n"
    world.clock += 0.25
    world.put(b"", b"r3\n")
    assert (tmp_path / "taken").read_bytes() == b"r1\nr2\n"
    assert link.read_bytes() == b"r3\n"


def test_a_removed_directory_comes_back_with_its_journal_and_its_lock(tmp_path: Path) -> None:
    world = World(tmp_path / "sink")
    world.put(b"1\n", b"r\n", number=1)
    shutil.rmtree(world.dir)
    world.clock += CHECK_INTERVAL
    world.put(b"2\n", b"s\n", number=2)
    assert data(world.dir) == b"2\n"
    assert (world.dir / "rejected" / f"{DAY}.ndjson").read_bytes() == b"s\n"
    assert [e.batch_id for record in world.journal() for e in record.entries] == ["batch-2"]
    with pytest.raises(SinkBusyError):
        WorkerLock(world.dir, 0)
    world.writer.close()
    WorkerLock(world.dir, 0).release()


def test_a_removed_directory_comes_back_without_traffic(tmp_path: Path) -> None:
    world = World(tmp_path / "sink")
    world.put(b"1\n")
    shutil.rmtree(world.dir)
    world.writer.idle()
    assert (world.dir / ".journal" / "w0.lock").exists()


def test_a_renamed_directory_that_another_gateway_took_is_left_to_it(tmp_path: Path) -> None:
    world = World(tmp_path / "sink")
    world.put(b"1\n", number=1)
    world.dir.rename(tmp_path / "old")
    other = WorkerLock(world.dir, 0)
    world.clock += CHECK_INTERVAL
    with pytest.raises(StepFailedError, match="in use by another gateway"):
        world.put(b"2\n", number=2)
    assert not (world.dir / f"{DAY}.ndjson").exists()
    assert data(tmp_path / "old") == b"1\n"
    other.release()
    world.clock += CHECK_INTERVAL
    world.put(b"2\n", number=2)
    assert data(world.dir) == b"2\n"


def test_a_directory_that_cannot_be_created_again_is_a_failure_of_the_group(tmp_path: Path) -> None:
    world = World(tmp_path / "sink")
    world.put(b"1\n")
    world.dir.rename(tmp_path / "old")
    world.dir.write_bytes(b"a file in its place")
    world.clock += CHECK_INTERVAL
    with pytest.raises(StepFailedError, match="open"):
        world.put(b"2\n")
    assert data(tmp_path / "old") == b"1\n"


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_file_cut_by_another_program_takes_the_next_group_at_its_new_end(tmp_path: Path, size: int) -> None:
    world = World(tmp_path)
    world.put(b"1\n", number=1)
    world.put(b"two\n", number=2)
    os.truncate(tmp_path / f"{DAY}.ndjson", size)
    kept = b"1\ntwo\n"[:size]
    world.put(b"3\n", number=3)
    whole = kept[: kept.rfind(b"\n") + 1]
    assert data(tmp_path) == whole + b"3\n"
    part = world.journal()[-1].parts[0]
    assert (part.start, part.end) == (len(whole), len(whole) + 2), "the journal names the place at which it is"
    assert [e.batch_id for record in world.journal() for e in record.entries] == ["batch-1", "batch-2", "batch-3"]


@pytest.mark.parametrize("short", [0, 2])
def test_nothing_of_a_refused_group_stays_in_a_file_that_was_cut(tmp_path: Path, short: int) -> None:
    world = World(tmp_path)
    world.put(b"a good long line\n", b"rejected\n", number=1)
    os.truncate(tmp_path / f"{DAY}.ndjson", 0)
    world.ops.fail, world.ops.only, world.ops.short = {"write": errno.ENOSPC}, f"/{DAY}", short
    with pytest.raises(StepFailedError):
        world.put(b"refused\n", number=2)
    assert data(tmp_path) == b""
    world.ops.fail = {}
    world.put(b"next\n", number=3)
    assert data(tmp_path) == b"next\n"
    assert [e.batch_id for record in world.journal() for e in record.entries] == ["batch-1", "batch-3"]


def test_lines_that_another_program_appended_are_kept_whole(tmp_path: Path) -> None:
    world = World(tmp_path)
    path = tmp_path / f"{DAY}.ndjson"
    world.put(b"ours\n", number=1)
    with path.open("ab") as other:
        other.write(b"foreign\n")
    world.put(b"ours\n", number=2)
    with path.open("ab") as other:
        other.write(b"foreign\nhalf")
    world.clock += CHECK_INTERVAL
    world.put(b"ours\n", number=3)
    assert data(tmp_path) == b"ours\nforeign\nours\nforeign\nours\n"
    assert (tmp_path / f"{DAY}.ndjson.torn").read_bytes() == b"half\n"


def test_a_link_to_the_open_file_is_kept_while_it_is_open(tmp_path: Path) -> None:
    world = World(tmp_path)
    link = tmp_path / ".journal" / "w0.events"
    world.put(b"1\n")
    assert link.samefile(tmp_path / f"{DAY}.ndjson")
    world.put(b"2\n", day="20241127")
    assert link.samefile(tmp_path / "20241127.ndjson")
    world.writer.close()
    assert not link.exists()


def test_a_file_system_without_hard_links_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refused)
    world = World(tmp_path)
    world.put(b"1\n", number=1)
    assert data(tmp_path) == b"1\n"
    assert not (tmp_path / ".journal" / "w0.events").exists()


def test_a_graceful_end_says_that_every_group_is_complete(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"1\n", number=1)
    world.writer.close()
    assert [len(record.parts) for record in world.journal()] == [1, 0]


def test_a_debugger_shows_the_state(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"1\n", number=1)
    assert "good=2 good" in repr(world.writer)
    group = Group(DAY)
    group.add(b"1\n", b"", b"entry")
    assert repr(group) == f"<Group {DAY} 2 bytes, 1 batch ids>"


def test_a_probe_on_a_disk_that_is_still_full(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ops.fail, world.ops.short = {"write": errno.ENOSPC}, 100
    with pytest.raises(StepFailedError, match="still full"):
        world.writer.probe()
    assert list(tmp_path.glob(".probe*")) == []


def test_a_link_to_a_file_that_was_replaced_at_once_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    real = os.link

    def link(source: Path, target: Path) -> None:
        source.rename(tmp_path / "moved")
        source.write_bytes(b"foreign\n")
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    world.put(b"1\n", number=1)
    assert not (tmp_path / ".journal" / "w0.events").exists()
    assert (tmp_path / "moved").read_bytes() == b"1\n"
    assert f"DayStream {DAY}" in repr(world.writer)


def test_a_defect_while_a_group_is_cut_away_does_not_hide_the_first(tmp_path: Path) -> None:
    class DefectError(Exception):
        pass

    class Broken(FaultyOps):
        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            self.fail = {"truncate": errno.EIO}
            os.write(fd, b"half")
            raise DefectError

    world = World(tmp_path, Broken())
    with pytest.raises(DefectError):
        world.put(b"2\n")


def test_a_file_that_a_failed_group_left_is_complete_in_the_journal_before_its_link_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"1\n", number=1)
    (tmp_path / f"{DAY}.ndjson").rename(tmp_path / "rotated")
    world.ops.fail, world.ops.short = {"write": errno.ENOSPC}, 1
    world.ops.only = f"/{DAY}"
    with pytest.raises(StepFailedError):
        world.put(b"2\n", number=2)
    world.ops.fail = {}
    world.put(b"3\n", number=3)
    assert [len(record.parts) for record in world.journal()] == [1, 0, 1]
    assert ((tmp_path / "rotated").read_bytes(), data(tmp_path)) == (b"1\n", b"3\n")
