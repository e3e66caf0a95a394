"""Which thread does what, what a stalled disk stops, and what becomes of claims meanwhile."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from logops_fast.ingest.sink import file_sink
from logops_fast.ingest.sink.commit_log import decode_segment, segments
from logops_fast.ingest.sink.file_sink import CONFIRM_AFTER, RENEW_INTERVAL, STALL_SECONDS, FileSink
from logops_fast.ingest.sink.interface import OnStored
from tests.ingest.sink.support import (
    DAY,
    NOON,
    FaultyOps,
    Reports,
    StallingOps,
    SteppedClock,
    data,
    entry,
    problem,
    run,
    stored,
    until,
)

pytestmark = pytest.mark.usefixtures("way")


class TracedOps(FaultyOps):
    """Remembers which thread wrote and which synced, and what the kernel was asked to sync."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.syncs: list[str] = []
        self.asked = 0
        self.takes = True

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        self.writes.append(threading.current_thread().name)
        return super().writev(fd, parts)

    def sync(self, fd: int) -> None:
        self.syncs.append(threading.current_thread().name)
        super().sync(fd)

    def asked_to_sync(self, fds: Sequence[int]) -> None:
        if not self.takes:
            raise OSError(errno.EAGAIN, "the kernel takes no more")
        self.asked += len(fds)


def test_the_thread_writes_and_the_kernel_syncs_if_it_can(tmp_path: Path, way: str) -> None:
    ops = TracedOps()

    async def test(sink: FileSink) -> None:
        for n in range(3):
            assert await stored(sink, b"%d\n" % n)
        assert sink.by_thread == (way == "thread")
        assert (ops.asked, ops.syncs) == ((3, []) if way == "kernel" else (0, ["file-sink"] * 3))

    run(tmp_path, test, ops=ops)
    assert set(ops.writes) == {"file-sink"}


def test_nothing_is_synced_with_durability_written(tmp_path: Path) -> None:
    ops = TracedOps()

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"a\n")
        assert (ops.asked, ops.syncs, ops.writes) == (0, [], ["file-sink"])
        assert not sink.by_thread

    run(tmp_path, test, ops=ops, durability="written")


def test_the_thread_syncs_what_the_kernel_does_not_take(tmp_path: Path, way: str) -> None:
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
    reports, ops = Reports(), FaultyOps()

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"a\n", rejected=b"r\n")
        ops.fail, ops.only = {"sync": errno.EIO}, "rejected"
        assert not await stored(sink, b"b\n", rejected=b"s\n")
        assert "rejected" in problem(sink)
        ops.fail = {}
        assert await stored(sink, b"c\n", rejected=b"t\n")

    run(tmp_path, test, reports=reports, ops=ops, probe_interval=60)
    assert data(tmp_path) == b"a\nc\n"
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"r\nt\n"
    assert reports.errors[0] == "sync"


# A disk that stalls.


@pytest.mark.parametrize("call", ["open", "write", "sync", "truncate"])
def test_a_stalled_disk_stops_the_storing_and_nothing_else(tmp_path: Path, call: str) -> None:
    ops, clock = StallingOps(""), SteppedClock()
    day = [NOON]

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"before\n", entry=entry(0))
        ops.call = call
        if call == "open":
            day[0] += 86_400  # the file of another day
        elif call == "truncate":
            ops.fail = {"write": errno.EIO}
            ops.short = 3
        waiting = [asyncio.ensure_future(stored(sink, b"first\n", entry=entry(1)))]
        await asyncio.to_thread(ops.entered.wait, 20)
        assert sink.problem is None, "a moment is no stall"
        waiting += [asyncio.ensure_future(stored(sink, b"%d\n" % n, entry=entry(2 + n))) for n in range(5)]
        clock.ahead += STALL_SECONDS + 1
        turns = 0
        while turns < 1000:  # the loop is free
            await asyncio.sleep(0)
            turns += 1
        assert sink.problem is not None
        assert sink.problem.reason == "sink_stalled"
        assert "has not answered for" in sink.problem.text
        assert not any(future.done() for future in waiting)
        assert "pending=5" in repr(sink)
        clock.ahead += 3600
        ops.fail = {}
        ops.gate.set()
        verdicts = await asyncio.gather(*waiting)
        assert verdicts == [call != "truncate"] + [True] * 5
        await until(lambda: sink.problem is None)

    run(tmp_path, test, ops=ops, clock=clock, wall=lambda: day[0], probe_interval=600)
    lines = b"" if call == "truncate" else b"first\n"
    lines += b"0\n1\n2\n3\n4\n"
    if call == "open":
        assert (data(tmp_path), data(tmp_path, "20241127")) == (b"before\n", lines)
    else:
        assert data(tmp_path) == b"before\n" + lines
    assert ops.loop_was_used == []


def test_a_disk_that_stalls_at_the_start_does_not_hold_the_loop(tmp_path: Path) -> None:
    ops = StallingOps("open")

    async def main() -> None:
        sink = FileSink(tmp_path, wall=lambda: NOON, ops=ops)
        start = asyncio.ensure_future(sink.start())
        await asyncio.to_thread(ops.entered.wait, 20)
        assert not start.done()
        assert not await stored(sink, b"early\n"), "what comes before the start is refused"
        ops.gate.set()
        assert (await asyncio.wait_for(start, 20)).torn == ()
        assert await stored(sink, b"a\n")
        await sink.close()

    asyncio.run(main())
    assert data(tmp_path) == b"a\n"


def test_a_start_that_was_given_up_can_still_be_closed(tmp_path: Path) -> None:
    ops = StallingOps("open")

    async def main() -> None:
        sink = FileSink(tmp_path, wall=lambda: NOON, ops=ops)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.ensure_future(sink.start()), 0.01)
        ops.gate.set()
        await until(lambda: sink._loop is not None)
        await sink.close()
        again = FileSink(tmp_path)
        await again.start()
        await again.close()

    asyncio.run(main())


def test_a_probe_that_stalls_leaves_the_reason_of_the_failure(tmp_path: Path) -> None:
    ops, clock = StallingOps(""), SteppedClock()

    async def test(sink: FileSink) -> None:
        ops.fail = {"write": errno.ENOSPC}
        assert not await stored(sink, b"bad\n")
        ops.fail = {}
        ops.call = "open"  # of the probe
        await asyncio.to_thread(ops.entered.wait, 20)
        clock.ahead += STALL_SECONDS + 1
        assert sink.problem is not None
        assert sink.problem.reason == "sink_failed", "what is known for certain comes first"
        waiting = asyncio.ensure_future(stored(sink, b"good\n"))
        ops.gate.set()
        assert await waiting
        await until(lambda: sink.problem is None)

    run(tmp_path, test, ops=ops, clock=clock, probe_interval=0.01)


# Claims of batches that wait.


class Store:
    """A store of batch ids that says which claims are still held, now or later."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.renewed: list[str] = []
        self.answers_later: list[Callable[[], None]] | None = None

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        self.renewed.append(batch_id)
        answer = partial(done, batch_id not in self.lost)
        if self.answers_later is None:
            answer()
        else:
            self.answers_later.append(answer)


@pytest.fixture
def quick_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sink, "RENEW_INTERVAL", 0.01)


@pytest.mark.interpreted
@pytest.mark.usefixtures("quick_renewals")
def test_claims_are_renewed_for_as_long_as_their_batches_wait(tmp_path: Path) -> None:
    ops, store = StallingOps("write"), Store()

    async def test(sink: FileSink) -> None:
        waiting = [asyncio.ensure_future(stored(sink, b"a\n", entry=entry(1)))]
        await asyncio.to_thread(ops.entered.wait, 20)
        waiting += [asyncio.ensure_future(stored(sink, b"b\n", entry=entry(2)))]
        waiting += [asyncio.ensure_future(stored(sink, b"c\n"))]
        await until(lambda: store.renewed.count("batch-1") > 3 and store.renewed.count("batch-2") > 3)
        ops.gate.set()
        assert await asyncio.gather(*waiting) == [True] * 3

    run(tmp_path, test, ops=ops, claims=store)
    assert set(store.renewed) == {"batch-1", "batch-2"}
    assert data(tmp_path) == b"a\nb\nc\n"


def test_the_store_is_not_asked_for_batches_that_do_not_wait(tmp_path: Path) -> None:
    store = Store()

    async def test(sink: FileSink) -> None:
        sink._renew()
        assert all(await asyncio.gather(*(stored(sink, b"a\n", entry=entry(n)) for n in range(20))))
        sink._renew()

    run(tmp_path, test, claims=store)
    assert store.renewed == []
    assert 0 < RENEW_INTERVAL < CONFIRM_AFTER


@pytest.mark.parametrize("later", [False, True])
def test_a_batch_that_another_worker_took_meanwhile_is_cut_out_again(tmp_path: Path, later: bool) -> None:
    ops, clock, store, reports = StallingOps("write"), SteppedClock(), Store(), Reports()
    store.lost = {"batch-1", "batch-3"}
    store.answers_later = [] if later else None
    order: list[tuple[int, bool]] = []

    async def test(sink: FileSink) -> None:
        def note(number: int) -> OnStored:
            return lambda ok: order.append((number, ok))

        for number in range(5):
            sink.append(b"%d\n" % number, note(number), entry=None if number == 4 else entry(number), rejected=b"r\n")
        await asyncio.to_thread(ops.entered.wait, 20)
        clock.ahead += CONFIRM_AFTER + 1
        sink.append(b"5\n", note(5), entry=entry(5))
        ops.gate.set()
        while store.answers_later is not None and len(order) < 6:
            await asyncio.sleep(0.001)
            for answer in store.answers_later[:]:
                store.answers_later.remove(answer)
                answer()
        await until(lambda: len(order) == 6)

    run(tmp_path, test, ops=ops, claims=store, clock=clock, reports=reports)
    assert sorted(order) == [(0, True), (1, False), (2, True), (3, False), (4, True), (5, True)]
    assert data(tmp_path) == b"0\n2\n4\n5\n"
    assert (tmp_path / "rejected" / f"{DAY}.ndjson").read_bytes() == b"r\n" * 3
    assert reports.errors == [], "the disk has not failed"


def test_a_group_without_batch_ids_needs_no_confirmation(tmp_path: Path) -> None:
    ops, clock, store = StallingOps("write"), SteppedClock(), Store()

    async def test(sink: FileSink) -> None:
        waiting = asyncio.ensure_future(stored(sink, b"a\n"))
        await asyncio.to_thread(ops.entered.wait, 20)
        clock.ahead += CONFIRM_AFTER + 1
        ops.gate.set()
        assert await waiting

    run(tmp_path, test, ops=ops, claims=store, clock=clock)
    assert store.renewed == []


# Between groups.


def test_the_sink_tidies_up_now_and_then(tmp_path: Path) -> None:
    day = [NOON]

    async def test(sink: FileSink) -> None:
        assert await stored(sink, b"a\n", entry=entry(1))
        (tmp_path / f"{DAY}.ndjson").rename(tmp_path / "rotated")
        sink._tick()
        assert "tidying" in repr(sink)
        await until(lambda: "idle" in repr(sink))
        journal = [r for path in segments(tmp_path / ".journal")[0] for r in decode_segment(path.read_bytes())]
        assert journal[-1].parts == (), "a renamed file is left, and the journal says before that it is complete"
        day[0] += 86_400
        sink._tick()
        assert await stored(sink, b"b\n"), "what arrives meanwhile is stored afterwards"
        sink._tick()
        closing = sink.close()
        assert not await stored(sink, b"late\n")
        await closing
        sink._end(None)

    run(tmp_path, test, wall=lambda: day[0])
    assert data(tmp_path, "20241127") == b"b\n"


def test_only_one_timer_waits_for_more_batches(tmp_path: Path) -> None:
    async def test(sink: FileSink) -> None:
        waiting = [asyncio.ensure_future(stored(sink, b"%d\n" % n)) for n in range(2)]
        await asyncio.sleep(0)
        sink._next()
        sink._next()
        assert all(await asyncio.gather(*waiting))
        sink._next()

    run(tmp_path, test)
    assert data(tmp_path) == b"0\n1\n"
