"""Who writes and who syncs: the loop and the kernel, or the thread."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from logops_fast.ingest.sink.file_sink import FileSink
from tests.ingest.sink.support import DAY, FaultyOps, Told, data, run, stored

pytestmark = pytest.mark.usefixtures("way")


class TracedOps(FaultyOps):
    """Remembers which thread wrote and which synced, and what the kernel was asked to sync; may be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.syncs: list[str] = []
        self.asked = 0
        self.takes = True
        self.seconds = 0.0

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        self.writes.append(threading.current_thread().name)
        time.sleep(self.seconds)
        return super().writev(fd, parts)

    def sync(self, fd: int) -> None:
        self.syncs.append(threading.current_thread().name)
        super().sync(fd)

    def asked_to_sync(self, fds: Sequence[int]) -> None:
        if not self.takes:
            raise OSError(errno.EAGAIN, "the kernel takes no more")
        self.asked += len(fds)


def test_who_writes_and_who_syncs(tmp_path: Path, way: str) -> None:
    ops = TracedOps()

    async def test(sink: FileSink) -> None:
        for n in range(3):
            assert await stored(sink, b"%d\n" % n)
        assert sink.by_thread == (way == "thread")
        assert (ops.asked, ops.syncs) == ((3, []) if way == "kernel" else (0, ["file-sink"] * 3))

    run(tmp_path, test, ops=ops)
    assert set(ops.writes) == {"MainThread" if way == "kernel" else "file-sink"}


def test_without_syncs_only_the_thread_writes(tmp_path: Path) -> None:
    ops = TracedOps()

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"a\n")
        assert (ops.asked, ops.syncs, ops.writes) == (0, [], ["file-sink"])
        assert not sink.by_thread

    run(tmp_path, test, ops=ops, durability="written")


def test_a_disk_that_makes_writers_wait_is_written_by_the_thread(tmp_path: Path, way: str) -> None:
    ops = TracedOps()

    async def test(sink: FileSink) -> None:
        ops.seconds = 0.03
        for n in range(3):
            assert await stored(sink, b"%d\n" % n)

    run(tmp_path, test, ops=ops)
    assert ops.writes == (["MainThread"] if way == "kernel" else ["file-sink"]) + ["file-sink"] * 2
    assert data(tmp_path) == b"0\n1\n2\n"


def test_a_sync_that_the_kernel_does_not_take_is_the_threads(tmp_path: Path, way: str) -> None:
    ops = TracedOps()
    ops.takes = False

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"a\n")
        assert ops.syncs == ["file-sink"]
        ops.fail = {"sync": errno.EIO}
        assert not await stored(sink, b"b\n")

    run(tmp_path, test, ops=ops, probe_interval=60)
    assert ops.asked == 0


def test_a_failed_sync_of_either_file_acknowledges_nothing(tmp_path: Path) -> None:
    told, ops = Told(), FaultyOps()

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"a\n", rejected=b"r\n")
        ops.fail, ops.only = {"sync": errno.EIO}, "rejected"
        assert not await stored(sink, b"b\n", rejected=b"s\n")
        assert "rejected" in (sink.failing or "")
        ops.fail = {}
        assert await stored(sink, b"c\n", rejected=b"t\n")

    run(tmp_path, test, told=told, ops=ops, probe_interval=60)
    assert data(tmp_path) == b"a\nc\n"
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"r\nt\n"
    assert told.errors[0] == "sync"
