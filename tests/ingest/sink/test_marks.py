"""Marks: what a reader may take of a file that is being written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.sink.acknowledged import Acknowledged, SinkFile
from logops_fast.ingest.sink.commit_log import encode_entry
from logops_fast.ingest.sink.file_ops import StepFailedError
from logops_fast.ingest.sink.group_writer import CHECK_INTERVAL, Group, GroupWriter, WorkerLock
from logops_fast.ingest.sink.marks import SLOT_BYTES, Mark, MarkFile, decode_marks, encode_slot, read_marks
from logops_fast.ingest.sink.recovery import recover
from tests.ingest.sink.support import DAY, NOON, FaultyOps, data, entry


class World:
    """A writer, and a reader that sees its files from outside."""

    def __init__(self, path: Path) -> None:
        self.dir = path
        self.clock = 0.0
        self.ops = FaultyOps()
        self.reader = Acknowledged(path)
        self.start()

    def start(self) -> None:
        self.writer = GroupWriter(
            self.dir,
            durable=True,
            worker=0,
            workers=1,
            lock=WorkerLock(self.dir, 0),
            wall=lambda: NOON,
            clock=lambda: self.clock,
            ops=self.ops,
        )
        self.writer.open()

    def kill(self) -> None:
        """Close what the kernel closes of a killed process; all are locked."""
        self.writer._lock.release()
        for stream in self.writer._streams:
            if stream._file is not None:
                os.close(stream.fd)

    def group(self, lines: bytes, rejected: bytes = b"", number: int | None = None) -> Group:
        group = Group(DAY)
        group.add(lines, rejected, None if number is None else encode_entry(entry(number)))
        return group

    def limits(self) -> dict[str, int]:
        return {file.name: self.reader.limit(file.inode, file.size, file.worker) for file in self.reader.files()}

    @property
    def limit(self) -> int:
        return self.limits()[f"{DAY}.ndjson"]


def test_a_group_counts_once_it_is_accepted_and_published(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.limit == 0
    world.writer.write(world.group(b"one\n"))
    assert data(tmp_path) == b"one\n"
    assert world.limit == 0  # written, and may still be cut away
    world.writer.accept()
    world.writer.publish()
    assert world.limit == 4


def test_the_next_group_publishes_the_one_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n"))
    world.writer.write(world.group(b"two\n"))
    assert world.limit == 4
    world.writer.abandon(world.group(b"two\n"))
    assert world.limit == 4


def test_a_new_stream_is_marked_before_its_first_group_is_written(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer.write(world.group(b"", b"bad\n"))
    assert world.limits()[f"rejected/{DAY}.ndjson"] == 0
    world.writer.accept()
    world.writer.publish()
    assert world.limits()[f"rejected/{DAY}.ndjson"] == 4


def test_a_group_that_fails_is_never_in_the_marks(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n"))
    world.ops.fail = {"sync": errno.EIO}
    with pytest.raises(StepFailedError):
        world.writer.commit(world.group(b"two\n"))
    world.writer.publish()
    assert world.limit == 4
    world.ops.fail = {}
    world.writer.commit(world.group(b"three\n"))
    world.writer.publish()
    assert world.limit == 10


def test_a_closed_file_is_complete_and_a_renamed_one_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n"))
    path = tmp_path / f"{DAY}.ndjson"
    inode = path.stat().st_ino
    path.rename(tmp_path / f"{DAY}.ndjson.1")
    world.writer.commit(world.group(b"two\n"))  # it is not noticed before the next check
    world.clock += CHECK_INTERVAL
    world.writer.commit(world.group(b"three\n"))
    world.writer.publish()
    assert world.reader.limit(inode, 8, 0) == 8
    assert world.limit == 6
    found = world.reader.find(inode, rejected=False)
    assert found == tmp_path / f"{DAY}.ndjson.1"
    world.writer.close()
    assert world.limit == 6


@pytest.mark.parametrize("how", ["renamed", "removed", "replaced"])
def test_a_moved_file_is_found_by_its_link_while_it_is_open(tmp_path: Path, how: str) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n", b"bad\n"))
    assert world.reader.moved() == []
    path = tmp_path / "rejected" / f"{DAY}.ndjson"
    inode = path.stat().st_ino
    path.rename(tmp_path / "taken")
    if how == "removed":
        (tmp_path / "taken").unlink()
    if how == "replaced":
        path.write_bytes(b"foreign\n")
    (found,) = world.reader.moved()
    assert found == (
        SinkFile(f"rejected/{DAY}.ndjson", True, DAY, 0, DAY, inode, 4),
        tmp_path / ".journal" / "w0.rejected",
    )
    world.clock += CHECK_INTERVAL
    world.writer.commit(world.group(b"two\n", b"bad\n"))
    assert world.reader.moved() == []


def test_without_hard_links_no_moved_file_is_found(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / ".journal" / "w0.events").unlink()
    (tmp_path / f"{DAY}.ndjson").unlink()
    assert world.reader.moved() == []


def test_marks_that_were_removed_come_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / ".journal" / "w0.marks").unlink()
    world.writer.commit(world.group(b"one\n"))
    world.clock += CHECK_INTERVAL
    world.writer.write(world.group(b"two\n"))
    assert world.limit == 4


@pytest.mark.parametrize("whole", [True, False])
def test_a_killed_gateways_last_group_is_settled_from_the_journal(tmp_path: Path, whole: bool) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n", number=1))
    world.writer.write(world.group(b"twotwo\n", b"bad\n", number=2))
    if not whole:
        with open(tmp_path / f"{DAY}.ndjson", "r+b") as file:
            file.truncate(8)
    assert world.limit == 4  # the gateway runs: the group may be cut away
    world.writer._lock.release()
    assert world.limit == (11 if whole else 4)


def test_what_a_killed_gateway_left_says_nothing_of_the_next_one_at_the_same_size(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n", number=1))
    world.writer.write(world.group(b"two\n", b"bad\n", number=2))
    (tmp_path / "rejected" / f"{DAY}.ndjson").write_bytes(b"")  # the group is not complete
    world.kill()
    assert world.limit == 4
    recover(tmp_path, worker=0, workers=1)
    assert data(tmp_path) == b"one\n"
    world.start()
    world.writer.commit(world.group(b"two\n", number=2))
    world.kill()  # before it published this
    assert world.limit == 8


def test_files_of_an_older_version_are_settled_once_no_gateway_runs(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer.commit(world.group(b"one\n", number=1))
    (tmp_path / ".journal" / "w0.marks").unlink()
    assert world.limit == 0
    world.writer._lock.release()
    assert world.limit == 4


def test_files_of_a_worker_that_there_was_once_are_complete(tmp_path: Path) -> None:
    (tmp_path / "20260101.w7.ndjson").write_bytes(b"old\n")
    world = World(tmp_path)
    assert world.limits()["20260101.w7.ndjson"] == 4


def test_a_start_goes_on_counting(tmp_path: Path) -> None:
    marks = (Mark("20261126.ndjson", 7, 99),)
    path = tmp_path / "w0.marks"
    for size in range(5):
        file = MarkFile(path)
        file.publish((Mark("20261126.ndjson", 7, size),))
        file.publish(marks)
        file.close()
        assert read_marks(path) == (2 * size + 2, marks)


@given(st.binary(min_size=0, max_size=60), st.integers(0, 2 * SLOT_BYTES - 1))
def test_a_torn_slot_leaves_the_one_before(torn: bytes, at: int) -> None:
    old, new = (Mark("a.ndjson", 1, 10),), (Mark("a.ndjson", 1, 20),)
    blob = bytearray(encode_slot(4, old) + encode_slot(5, new))
    before = bytes(blob)
    blob[at : at + len(torn)] = torn
    found = decode_marks(bytes(blob[: 2 * SLOT_BYTES]))
    first, second = bytes(blob[:SLOT_BYTES]), bytes(blob[SLOT_BYTES : 2 * SLOT_BYTES])
    if second.rstrip(b"\0") == before[SLOT_BYTES:].rstrip(b"\0"):
        assert found == (5, new)
    elif first.rstrip(b"\0") == before[:SLOT_BYTES].rstrip(b"\0"):
        assert found in ((4, old), (5, new))
    else:
        assert found in (None, (4, old), (5, new))
