from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from logops_fast.ingest.sink.commit_pace import CommitPace
from logops_fast.ingest.sink.file_ops import FileOps
from logops_fast.ingest.sink.file_sink import MOST_NAPS, NAP_SECONDS, FileSink, Phase, SinkStartError
from logops_fast.ingest.sink.gathering import LARGE_BYTES
from logops_fast.ingest.sink.interface import NullSink
from logops_fast.ingest.sink.kernel_sync import SyncQueue
from tests.ingest.sink.support import (
    DAY,
    NOON,
    FaultyOps,
    Reports,
    StallingOps,
    data,
    entry,
    problem,
    run,
    stored,
    until,
)

pytestmark = pytest.mark.usefixtures("way")


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("durability", ["fsync", "written"])
def test_a_batch_is_in_the_file_when_it_is_acknowledged(tmp_path: Path, durability: str, factory: Any) -> None:
    async def test(sink: FileSink) -> None:
        for n in range(20):
            assert await stored(
                sink, b"%d\n" % n, rejected=b"r\n" if n == 3 else b"", entry=entry(n) if n % 2 else None
            )
            assert data(tmp_path).endswith(b"%d\n" % n)

    run(tmp_path, test, durability=durability, factory=factory)
    assert data(tmp_path) == b"".join(b"%d\n" % n for n in range(20))
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"r\n"


def test_the_appends_of_one_turn_go_together_and_in_order(tmp_path: Path) -> None:
    reports = Reports()

    async def test(sink: FileSink) -> None:
        await asyncio.sleep(0.05)
        order: list[int] = []
        for n in range(64):
            sink.append(b"%d\n" % n, lambda ok, n=n: order.append(n) if ok else None)  # type: ignore[misc]
        await stored(sink, b"last\n")
        assert order == list(range(64))

    run(tmp_path, test, reports=reports)
    assert [(c.batches, c.bytes) for c in reports.commits] == [(65, len(data(tmp_path)))]


def test_a_small_batch_is_stored_before_the_second_large_one(tmp_path: Path) -> None:
    """20 MB take a disk a tenth of a second: others are not to wait for two such batches."""
    ops, order = StallingOps("write"), list[str]()
    large = b"l" * LARGE_BYTES + b"\n"

    async def test(sink: FileSink) -> None:
        sink.append(large, lambda ok: order.append("large") if ok else None)
        await asyncio.to_thread(ops.entered.wait, 10)
        sink.append(large, lambda ok: order.append("second large") if ok else None)
        sink.append(b"small\n", lambda ok: order.append("small") if ok else None)
        ops.gate.set()
        await stored(sink, large)
        assert order == ["large", "small", "second large"]

    run(tmp_path, test, ops=ops)
    assert data(tmp_path) == large + b"small\n" + large * 2


def test_the_loop_gives_way_to_the_thread_while_that_writes_a_small_group(tmp_path: Path) -> None:
    """Only so often: a disk that stalls must not hold the loop."""
    ops, naps = StallingOps("write"), list[float]()

    async def test(sink: FileSink) -> None:
        sink.give_way()
        assert not naps, "nothing is written"
        small = asyncio.ensure_future(stored(sink, b"small\n"))
        await asyncio.to_thread(ops.entered.wait, 10)
        for _ in range(3):
            assert not sink.give_way()
        assert naps == [NAP_SECONDS] * MOST_NAPS
        ops.gate.set()
        await small
        sink.give_way()
        assert len(naps) == MOST_NAPS, "all is written"

    run(tmp_path, test, ops=ops, sleep=naps.append)


def test_the_loop_looks_for_the_end_of_a_sync_before_it_is_busy_again(tmp_path: Path) -> None:
    naps: list[float] = []
    synced: list[Callable[[], object]] = []

    class Queue:
        """Syncs when the test says so."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop = loop

        def submit(self, fds: Sequence[int], on_synced: Callable[[list[int]], None]) -> None:
            synced.append(lambda: self.loop.call_soon(on_synced, [0] * len(fds)))

        def close(self) -> None:
            pass

    class QueueOps(FileOps):
        def kernel_sync(self, loop: asyncio.AbstractEventLoop) -> SyncQueue:
            return Queue(loop)

    async def test(sink: FileSink) -> None:
        small = asyncio.ensure_future(stored(sink, b"small\n"))
        await until(lambda: synced)
        sink._naps = 0
        assert not sink.give_way(), "a large batch, or a disk that stalls"
        sink._naps = 2
        assert [sink.give_way() for _ in range(3)] == [True, True, False], "a disk that hangs holds nothing else up"
        synced[0]()
        await small
        sink._naps = 3
        assert not sink.give_way(), "all is synced"

    run(tmp_path, test, ops=QueueOps(), sleep=naps.append)
    assert naps == [NAP_SECONDS] * 2


def test_the_loop_gives_way_while_marks_are_published(tmp_path: Path) -> None:
    """The next group waits for the thread's report of it."""
    naps: list[float] = []

    async def test(sink: FileSink) -> None:
        await stored(sink, b"small\n")
        sink._naps = 0
        await until(lambda: sink._naps)
        await until(lambda: sink._phase is Phase.IDLE)
        assert not naps
        sink._phase = Phase.TIDYING
        assert sink.give_way()
        assert naps == [NAP_SECONDS]
        sink._phase = Phase.IDLE

    run(tmp_path, test, sleep=naps.append)


def test_the_loop_does_not_give_way_to_a_large_batch(tmp_path: Path) -> None:
    ops, naps = StallingOps("write"), list[float]()

    async def test(sink: FileSink) -> None:
        large = asyncio.ensure_future(stored(sink, b"l" * LARGE_BYTES + b"\n"))
        await asyncio.to_thread(ops.entered.wait, 10)
        sink.give_way()
        ops.gate.set()
        await large

    run(tmp_path, test, ops=ops, sleep=naps.append)
    assert not naps


def test_what_arrives_during_a_commit_goes_with_the_next(tmp_path: Path) -> None:
    reports, ops = Reports(), StallingOps("write")

    async def test(sink: FileSink) -> None:
        first = asyncio.ensure_future(stored(sink, b"first\n"))
        await asyncio.to_thread(ops.entered.wait, 10)
        rest = [asyncio.ensure_future(stored(sink, b"%d\n" % n)) for n in range(10)]
        await asyncio.sleep(0)
        ops.gate.set()
        assert await asyncio.gather(first, *rest) == [True] * 11

    run(tmp_path, test, reports=reports, ops=ops)
    assert [c.batches for c in reports.commits] == [1, 10]


def test_a_large_pile_is_written_in_several_groups(tmp_path: Path) -> None:
    reports = Reports()

    async def test(sink: FileSink) -> None:
        await asyncio.sleep(0.05)
        block = b"x" * (900 << 10) + b"\n"
        assert all(await asyncio.gather(*(stored(sink, block) for _ in range(21))))

    run(tmp_path, test, reports=reports)
    assert [c.batches for c in reports.commits] == [10, 10, 1]


def test_the_file_changes_at_midnight_by_the_time_of_receipt(tmp_path: Path) -> None:
    clock = [NOON + 12 * 3600 - 1]

    async def test(sink: FileSink) -> None:
        before = asyncio.ensure_future(stored(sink, b"before\n", entry=entry(1)))
        await asyncio.sleep(0)
        clock[0] += 2
        after = asyncio.ensure_future(stored(sink, b"after\n", rejected=b"bad\n", entry=entry(2)))
        assert list(await asyncio.gather(before, after)) == [True, True]
        clock[0] -= 2  # stepped back
        assert await stored(sink, b"again\n")

    run(tmp_path, test, wall=lambda: clock[0])
    assert data(tmp_path) == b"before\nagain\n"
    assert data(tmp_path, "20241127") == b"after\n"
    assert (tmp_path / "rejected" / "20241127.ndjson").read_bytes() == b"bad\n"


def test_a_failed_group_is_refused_and_the_sink_recovers_with_traffic(tmp_path: Path) -> None:
    reports, ops = Reports(), FaultyOps()

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"good\n")
        ops.fail = {"write": errno.EIO}
        results = await asyncio.gather(*(stored(sink, b"bad\n", entry=entry(n)) for n in range(5)))
        assert results == [False] * 5
        assert "Input/output error" in problem(sink)
        ops.fail = {}
        assert await stored(sink, b"next\n")
        assert sink.problem is None

    run(tmp_path, test, reports=reports, ops=ops, probe_interval=60)
    assert data(tmp_path) == b"good\nnext\n"
    assert set(reports.errors) == {"write"}


def test_a_failed_sync_acknowledges_nothing(tmp_path: Path) -> None:
    reports, ops = Reports(), FaultyOps()

    async def test(sink: FileSink) -> None:
        ops.fail = {"sync": errno.EIO}
        assert not await stored(sink, b"bad\n")
        assert not await stored(sink, b"bad\n")
        ops.fail = {}
        assert await stored(sink, b"next\n")

    run(tmp_path, test, reports=reports, ops=ops, probe_interval=60)
    assert data(tmp_path) == b"next\n"
    assert reports.errors == ["sync", "truncate", "truncate"], "a rollback that cannot be synced is tried again first"


def test_readiness_comes_back_without_traffic(tmp_path: Path) -> None:
    reports, ops = Reports(), FaultyOps()

    async def test(sink: FileSink) -> None:
        ops.fail = {"write": errno.ENOSPC}
        assert not await stored(sink, b"bad\n")
        await until(lambda: "probe" in reports.errors)
        assert sink.problem is not None
        ops.fail = {}
        await until(lambda: sink.problem is None)

    run(tmp_path, test, reports=reports, ops=ops, probe_interval=0.02)
    assert data(tmp_path) == b""


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_sink_that_starts_on_a_failing_disk_says_so_before_its_first_batch(tmp_path: Path, call: str) -> None:
    reports, ops = Reports(), FaultyOps()
    ops.fail = {call: errno.EIO}

    async def test(sink: FileSink) -> None:
        assert "Input/output error" in problem(sink)
        assert reports.errors[0] == "probe"
        ops.fail = {}
        await until(lambda: sink.problem is None)
        assert await stored(sink, b"good\n")

    run(tmp_path, test, reports=reports, ops=ops, probe=True, probe_interval=0.02)
    assert data(tmp_path) == b"good\n"
    assert not list(tmp_path.glob(".probe*"))


def test_a_tidying_that_fails_is_logged_and_a_failing_disk_stays_failing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reports, ops = Reports(), FaultyOps()

    async def test(sink: FileSink) -> None:
        sink._tidied(PermissionError("journal"))
        assert sink.problem is None
        ops.fail = {"write": errno.ENOSPC}
        assert not await stored(sink, b"bad\n")
        sink._tidied(PermissionError("probe"))
        assert "probe" in problem(sink)

    run(tmp_path, test, reports=reports, ops=ops, probe_interval=60)
    assert "could not tidy up" in caplog.text
    assert reports.errors == ["write", "probe"]


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Sets RLIMIT_FSIZE for real: a write beyond it falls short, then fails with EFBIG (Python ignores SIGXFSZ)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_real_write_that_falls_short(tmp_path: Path, file_limit: Callable[[int], None]) -> None:
    line = b"y" * 9_999 + b"\n"

    async def test(sink: FileSink) -> None:
        file_limit(45_000)
        for n in range(4):
            assert await stored(sink, line, entry=entry(n))
        assert not await stored(sink, line, entry=entry(4))
        assert data(tmp_path) == line * 4
        assert "File too large" in problem(sink)
        file_limit(resource.RLIM_INFINITY)
        assert await stored(sink, line, entry=entry(5))

    run(tmp_path, test, probe_interval=60)
    assert data(tmp_path) == line * 5


@pytest.mark.process
def test_a_real_full_disk(tmp_path: Path) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], capture_output=True)
    if mount.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    line = b"z" * 29_999 + b"\n"
    good = 0

    async def test(sink: FileSink) -> None:
        nonlocal good
        while await stored(sink, line, rejected=b"r\n", entry=entry(good)):
            good += 1
        assert "No space left" in problem(sink)
        assert data(tmp_path) == line * good
        assert not await stored(sink, line)
        (tmp_path / "ballast").unlink()
        await until(lambda: sink.problem is None)
        assert await stored(sink, line)

    try:
        (tmp_path / "ballast").write_bytes(b"b" * 100_000)
        run(tmp_path, test, probe_interval=0.05)
        assert 0 < good < 6
        assert data(tmp_path) == line * (good + 1)
        assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"r\n" * good
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.process
def test_a_second_gateway_on_the_directory_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async def test(sink: FileSink) -> None:
        with pytest.raises(SinkStartError, match="in use by another gateway"):
            await FileSink(tmp_path).start()
        with pytest.raises(SinkStartError, match="in use by another gateway"):
            await FileSink(tmp_path, worker=0, workers=4).start()
        script = f"""if True:
            import asyncio, pathlib
            from logops_fast.ingest.sink.file_sink import FileSink
            async def main(): await FileSink(pathlib.Path({str(tmp_path)!r})).start()
            asyncio.run(main())"""
        other = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], capture_output=True)
        assert b"in use by another gateway" in other.stderr
        assert await stored(sink, b"a\n")

    run(tmp_path, test)
    run(tmp_path, lambda sink: asyncio.sleep(0))  # and free again afterwards


@pytest.mark.parametrize("kind", ["file", "below_a_file", "file_of_the_day_is_a_folder"])
def test_a_directory_that_cannot_be_used_stops_the_start(tmp_path: Path, kind: str) -> None:
    directory = tmp_path / "sink"
    if kind == "file":
        directory.write_text("")
    elif kind == "below_a_file":
        (tmp_path / "f").write_text("")
        directory = tmp_path / "f" / "sink"
    else:
        (directory / f"{DAY}.ndjson").mkdir(parents=True)

    async def main() -> None:
        with pytest.raises(SinkStartError, match=str(directory)):
            await FileSink(directory, wall=lambda: NOON).start()

    asyncio.run(main())


def test_the_directory_is_free_again_after_a_start_that_failed(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.ndjson").mkdir()

    async def main() -> None:
        with pytest.raises(SinkStartError):
            await FileSink(tmp_path, wall=lambda: NOON).start()
        (tmp_path / f"{DAY}.ndjson").rmdir()
        sink = FileSink(tmp_path, wall=lambda: NOON)
        await sink.start()
        assert await stored(sink, b"a\n")
        await sink.close()

    asyncio.run(main())


def test_close_stores_what_is_pending_and_refuses_what_comes_later(tmp_path: Path) -> None:
    async def main() -> None:
        sink = FileSink(tmp_path, wall=lambda: NOON)
        await sink.start()
        pending = [asyncio.ensure_future(stored(sink, b"%d\n" % n)) for n in range(10)]
        await asyncio.sleep(0)
        await asyncio.gather(sink.close(), sink.close())
        assert all(await asyncio.gather(*pending))
        assert not await stored(sink, b"late\n")
        await sink.close()
        await until(lambda: not [thread for thread in threading.enumerate() if thread.name == "file-sink"])

    asyncio.run(main())
    assert data(tmp_path) == b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def test_an_append_before_the_start_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        assert not await stored(FileSink(tmp_path), b"a\n")

    asyncio.run(main())


def test_one_callback_that_raises_costs_the_others_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def bad(_ok: bool) -> None:
        raise RuntimeError("mine")

    async def test(sink: FileSink) -> None:
        sink.append(b"a\n", bad)
        assert await stored(sink, b"b\n")

    run(tmp_path, test)
    assert "a callback of the sink failed" in caplog.text


def test_a_defect_in_the_writer_refuses_its_group_alone(tmp_path: Path) -> None:
    class Broken(FaultyOps):
        broken = True

        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            if self.broken:
                raise MemoryError
            return super().writev(fd, parts)

    reports, ops = Reports(), Broken()

    async def test(sink: FileSink) -> None:
        assert not await stored(sink, b"a\n")
        ops.broken = False
        assert await stored(sink, b"b\n")

    run(tmp_path, test, reports=reports, ops=ops, probe_interval=60)
    assert reports.errors == ["internal"]
    assert data(tmp_path) == b"b\n"


def test_lines_must_end_as_lines_do(tmp_path: Path) -> None:
    async def test(sink: FileSink) -> None:
        for lines, rejected in ((b"a", b""), (b"a\n", b"b")):
            with pytest.raises(ValueError, match="newline"):
                sink.append(lines, pytest.fail, rejected=rejected)  # type: ignore[arg-type]
        assert await stored(sink, b"")

    run(tmp_path, test)
    assert data(tmp_path) == b""


def test_a_restart_remembers_what_was_stored(tmp_path: Path) -> None:
    async def main() -> None:
        for n in range(3):
            sink = FileSink(tmp_path, wall=lambda: NOON)
            report = await sink.start()
            assert [batch.batch_id for batch in report.remembered] == [f"batch-{i}" for i in range(n)]
            assert await stored(sink, b"a\n", entry=entry(n))
            await sink.close()

    asyncio.run(main())


def test_workers_write_files_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        sinks = [FileSink(tmp_path, worker=i, workers=3, wall=lambda: NOON) for i in range(3)]
        for sink in sinks:
            await sink.start()
        assert all(await asyncio.gather(*(stored(sink, b'{"n":%d}\n' % i) for i, sink in enumerate(sinks))))
        for sink in sinks:
            await sink.close()

    asyncio.run(main())
    for i in range(3):
        assert json.loads((tmp_path / f"{DAY}.w{i}.ndjson").read_bytes()) == {"n": i}


def test_a_file_renamed_under_a_running_sink_is_created_again(tmp_path: Path) -> None:
    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"old\n")
        (tmp_path / f"{DAY}.ndjson").rename(tmp_path / "taken")
        deadline = time.monotonic() + 60
        while not (tmp_path / f"{DAY}.ndjson").exists():
            assert await stored(sink, b"more\n")
            assert time.monotonic() < deadline

    run(tmp_path, test)
    old, new = (tmp_path / "taken").read_bytes(), data(tmp_path)
    assert old.startswith(b"old\n")
    assert new == b"more\n"


def test_the_null_sink_says_that_it_stores_nothing() -> None:
    async def main() -> None:
        sink = NullSink()
        assert not sink.stores
        assert sink.problem is None
        assert await stored(sink, b"a\n")  # type: ignore[arg-type]
        await sink.close()

    asyncio.run(main())


@pytest.mark.process
def test_a_closed_loop_does_not_break_the_thread(tmp_path: Path) -> None:
    """A worker that is torn down without a drain: no traceback, and the lock is free."""
    script = f"""if True:
        import asyncio, pathlib
        from logops_fast.ingest.sink.file_sink import FileSink
        async def main():
            sink = FileSink(pathlib.Path({str(tmp_path)!r}))
            await sink.start()
            sink.append(b"a\\n", lambda ok: None)
            await asyncio.sleep(0)
        asyncio.run(main())"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20, env=dict(os.environ))
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.interpreted
def test_a_defect_refuses_the_group_and_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Pace(CommitPace):
        broken = True

        def begin(self, now: float, cpu: float) -> None:
            if self.broken:
                raise RuntimeError("defect")

    pace = Pace()

    async def test(sink: FileSink) -> None:
        assert not await stored(sink, b"a\n")
        assert not await stored(sink, b"b\n")
        assert "defect" in problem(sink)
        pace.broken = False
        assert await stored(sink, b"c\n")

    run(tmp_path, test, pace=pace, probe_interval=60)
    assert "a group could not be stored" in caplog.text
    assert data(tmp_path) == b"c\n"


def test_batches_that_come_close_together_share_commits(tmp_path: Path) -> None:
    reports = Reports()
    now = [1000.0]

    async def test(sink: FileSink) -> None:
        first = asyncio.ensure_future(stored(sink, b"0\n"))
        assert await first, "what comes after a pause does not wait"
        later = []
        for number in range(1, 40):
            later.append(asyncio.ensure_future(stored(sink, b"%d\n" % number)))
            await asyncio.sleep(0)
        assert len(reports.commits) == 1
        now[0] += 0.05
        assert all(await asyncio.gather(*later))

    # As busy as a core can be: CPU time passes as fast as the clock does.
    run(
        tmp_path, test, reports=reports, pace=CommitPace(0.05), clock=lambda: now[0], cpu=lambda: now[0],
        durability="written",
    )  # fmt: skip
    assert [commit.batches for commit in reports.commits] == [1, 39]
