"""What is under the Ingest Gateway of a worker, on a real directory."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from logops_fast.config.loader import load
from logops_fast.ingest.housekeeping.retention import Report
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.sink.file_sink import SinkStartError
from logops_fast.ingest.sink.interface import LedgerEntry, NullSink
from logops_fast.runtime.heartbeat import Board
from logops_fast.runtime.storage import Storage
from logops_fast.runtime.worker import WorkerContext
from logops_fast.state.factory import open_state
from logops_fast.state.interface import NO_DIGEST, BatchClaim, ClaimKind, StateStore
from logops_fast.telemetry.slab import Slab


class Opened:
    """A storage with its state and what it reported."""

    def __init__(self, folder: Path, index: int = 0, board: Board | None = None, **flags: Any) -> None:
        settings = load(None, {}, {"sink.dir": str(folder), "housekeeping.interval": 0} | flags).settings
        self.state: StateStore = open_state("memory", workers=1, directory=folder, redis_url="", tolerance=300.0)
        self.context = WorkerContext(index, 1, Slab(1), -1, -1, 0, board or Board(1, 8))
        self.failures = 0
        if index:
            self.context.slab = Slab(index + 1)
        metrics = IngestMetrics(self.context.registry, ())
        self.storage = Storage(settings, self.context, self.state, metrics, on_failure=self.failed)

    def failed(self) -> None:
        self.failures += 1

    async def store(self, lines: bytes, entry: LedgerEntry | None = None) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.storage.sink.append(lines, done.set_result, entry=entry)
        return await done

    def claim(self, emitter: str, batch_id: str) -> BatchClaim:
        found: list[BatchClaim] = []
        self.state.batch_ids.begin(emitter, batch_id, NO_DIGEST, found.append)
        return found[0]


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name[8:]: path.read_bytes() for path in folder.glob("*.ndjson")}


def test_a_batch_is_stored_and_its_id_is_known_after_a_restart(tmp_path: Path) -> None:
    async def first() -> None:
        opened = Opened(tmp_path)
        await opened.storage.start()
        assert await opened.store(b'{"n":1}\n', LedgerEntry("web", "batch-1", b'{"accepted":1}'))
        assert opened.context.registry.sums("logops_sink_bytes_total") == {(): (8.0,)}
        assert opened.storage.sink.problem is None
        await opened.storage.close()

    async def second() -> None:
        opened = Opened(tmp_path)
        await opened.storage.start()
        assert opened.claim("web", "batch-1") == BatchClaim(ClaimKind.DONE, b'{"accepted":1}')
        assert opened.claim("web", "batch-2").kind is ClaimKind.NEW
        await opened.storage.close()

    asyncio.run(first())
    asyncio.run(second())
    assert stored(tmp_path) == {".ndjson": b'{"n":1}\n'}


def test_a_successor_under_a_spare_index_does_not_wait_for_the_files_of_the_old_process(tmp_path: Path) -> None:
    async def run() -> None:
        hung = Opened(tmp_path)
        await hung.storage.start()
        await hung.store(b'{"n":1}\n')
        with pytest.raises(SinkStartError, match="in use"):
            await Opened(tmp_path).storage.start()
        successor = Opened(tmp_path, index=1)
        await successor.storage.start()
        assert await successor.store(b'{"n":2}\n')
        await successor.storage.close()
        await hung.storage.close()

    asyncio.run(run())
    assert stored(tmp_path) == {".ndjson": b'{"n":1}\n', ".w1.ndjson": b'{"n":2}\n'}


def test_worker_0_frees_the_claims_of_former_workers_and_not_those_of_a_live_spare(tmp_path: Path) -> None:
    board = Board(1, 8)
    board.use_index(3, True)
    opened = Opened(tmp_path, board=board)
    started: list[int] = []

    class Recording:
        batch_ids = opened.state.batch_ids

        def worker_started(self, index: int) -> None:
            started.append(index)

    async def run() -> None:
        opened.storage._state = Recording()  # type: ignore[misc, assignment]
        await opened.storage.start()
        await opened.storage.close()

    asyncio.run(run())
    assert started[-1] == 0, "its own claims last, once its journal has been replayed"
    assert 1 in started
    assert 2 in started
    assert 3 not in started


def test_a_torn_line_is_moved_away_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def store(lines: bytes) -> None:
        opened = Opened(tmp_path)
        await opened.storage.start()
        await opened.store(lines)
        await opened.storage.close()

    asyncio.run(store(b'{"n":1}\n'))
    (path,) = tmp_path.glob("*.ndjson")
    with path.open("ab") as file:
        file.write(b'{"torn":')
    asyncio.run(store(b'{"n":2}\n'))
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'
    assert "moved 8 bytes" in caplog.text


def test_a_sink_that_is_switched_off_keeps_nothing_and_needs_no_directory(tmp_path: Path) -> None:
    async def run() -> None:
        opened = Opened(tmp_path / "none", **{"sink.enabled": False})  # type: ignore[arg-type]
        assert isinstance(opened.storage.sink, NullSink)
        await opened.storage.start()
        assert opened.storage.sink.problem is None
        assert not opened.storage.give_way()
        await opened.storage.close()

    asyncio.run(run())
    assert not (tmp_path / "none").exists()


def test_a_failing_write_is_counted_logged_once_and_makes_the_gateway_unready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = Opened(tmp_path)
    for _ in range(3):
        opened.storage._failed("write", "No space left on device")
    assert opened.failures == 3
    assert opened.context.registry.sums("logops_sink_errors_total") == {(): (3.0,)}
    assert caplog.text.count("the sink failed: No space left on device") == 1


@pytest.mark.parametrize(
    ("busy", "failure", "level", "counted"),
    [(False, None, None, True), (True, None, None, False), (False, "the disk is gone", logging.ERROR, True)],
)
def test_runs_of_housekeeping_are_counted_and_only_those_that_did_something_are_logged(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    busy: bool,
    failure: str | None,
    level: int | None,
    counted: bool,
) -> None:
    caplog.set_level(logging.INFO)
    opened = Opened(tmp_path)
    report = Report(dry_run=False)
    report.busy, report.failure = busy, failure
    opened.storage._housekept(report)
    runs = opened.context.registry.sums("logops_housekeeping_runs_total")
    assert (sum(value for (value,) in runs.values()) == 1.0) is counted
    assert [record.levelno for record in caplog.records] == ([] if level is None else [level])


def test_housekeeping_runs_with_the_gateway(tmp_path: Path) -> None:
    async def run() -> None:
        opened = Opened(tmp_path)
        old = tmp_path / "20200101.ndjson"
        old.write_bytes(b"{}\n")
        await opened.storage.start()
        async with asyncio.timeout(30):
            while old.exists():  # noqa: ASYNC110 - what is polled has no event
                await asyncio.sleep(0.01)
        await opened.storage.close()

    asyncio.run(run())
