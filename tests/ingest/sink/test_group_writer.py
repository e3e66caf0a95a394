from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from logops_fast.ingest.sink.append_file import StepFailedError
from logops_fast.ingest.sink.commit_log import GroupRecord, decode_segment, encode_entry, segments
from logops_fast.ingest.sink.group_writer import Group, GroupWriter, SinkBusyError, WorkerLock
from tests.ingest.sink.support import DAY, NOON, FaultyOps, data, entry


class World:
    """A writer over a real directory, with a wall and a monotonic clock that stand still."""

    def __init__(self, path: Path, ops: FaultyOps | None = None) -> None:
        self.dir = path
        self.wall = NOON
        self.mono = 0.0
        self.ops = ops or FaultyOps()
        self.writer = GroupWriter(
            path,
            durable=True,
            worker=0,
            workers=1,
            lock=WorkerLock(path, 0),
            wall=lambda: self.wall,
            mono=lambda: self.mono,
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
def test_whichever_part_fails_nothing_of_the_group_is_left(tmp_path: Path, only: str, short: int) -> None:
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


def test_a_new_day_gets_a_new_file_and_the_old_one_is_let_go(tmp_path: Path) -> None:
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


def test_a_file_removed_by_hand_is_noticed_within_a_second(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(b"old\n")
    (tmp_path / f"{DAY}.ndjson").unlink()
    world.mono += 1
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
