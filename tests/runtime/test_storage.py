from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from logops_fast.config.loader import load
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.sink.file_ops import FileOps
from logops_fast.ingest.sink.interface import LedgerEntry
from logops_fast.runtime.storage import Storage
from logops_fast.runtime.worker import StartupError, WorkerContext
from logops_fast.state.factory import open_state
from logops_fast.state.interface import BatchClaim, ClaimKind
from logops_fast.telemetry.slab import Slab
from tests.ingest.sink.support import stored, until

ENTRY = LedgerEntry("web", "b-1", b'{"accepted":1}')

Test = Callable[[Storage], Awaitable[None]]


class Bench:
    """Runs storages over one directory, one after the other, each with an empty state store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.failures = 0

    def run(self, test: Test, *, index: int = 0, count: int = 1, **flags: Any) -> WorkerContext:
        settings = load(
            None,
            {},
            {
                "sink.dir": str(self.directory / "ingest"),
                "housekeeping.archive_dir": str(self.directory / "archive"),
                "housekeeping.autorun": False,
                **flags,
            },
        ).settings
        context = WorkerContext(index, count, Slab(count), -1, -1)
        self.state = open_state("memory", workers=1, directory=self.directory, redis_url="", tolerance=300.0)

        async def main() -> None:
            metrics = IngestMetrics(context.registry, ["web"])
            storage = Storage(settings, context, self.state, metrics, on_failure=self._failed)
            await storage.start()
            try:
                await test(storage)
            finally:
                await storage.close()

        asyncio.run(main())
        return context

    def claim(self) -> BatchClaim:
        claims: list[BatchClaim] = []
        self.state.batch_ids.begin(ENTRY.emitter, ENTRY.batch_id, claims.append)
        return claims[0]

    def _failed(self) -> None:
        self.failures += 1


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def nothing(_storage: Storage) -> None:
    return None


def total(context: WorkerContext, name: str) -> float:
    return sum(values[0] for values in context.registry.sums(name).values())


def test_what_was_stored_is_answered_again_after_a_restart(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def test(storage: Storage) -> None:
        assert await stored(storage.sink, b"{}\n", entry=ENTRY)  # type: ignore[arg-type]

    context = bench.run(test)
    assert total(context, "logops_sink_bytes_total") == 3
    with caplog.at_level(logging.INFO):
        bench.run(nothing)
    assert "remembered 1 stored batch ids" in caplog.text
    assert bench.claim() == BatchClaim(ClaimKind.DONE, ENTRY.answer)


def test_a_torn_line_is_reported_as_a_warning(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (bench.directory / "ingest").mkdir()
    (bench.directory / "ingest" / "20241125.ndjson").write_bytes(b'{"msg":"half')
    bench.run(nothing)
    assert [record.levelname for record in caplog.records if "unacknowledged" in record.message] == ["WARNING"]


def test_worker_0_frees_the_claims_of_workers_that_do_not_exist_any_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    async def test(storage: Storage) -> None:
        assert storage.sink.stores

    real = open_state

    def opened(*args: Any, **kw: Any) -> Any:
        state = real(*args, **kw)
        monkeypatch.setattr(state, "worker_started", started.append)
        return state

    monkeypatch.setattr("tests.runtime.test_storage.open_state", opened)
    for index in (0, 1):
        bench.run(test, index=index, count=2)
    assert started[0] == 2, "worker 0 begins with those beyond the count"
    assert started[-2:] == [0, 1], "each worker ends with itself"
    assert started.count(1) == 1


def test_a_directory_that_cannot_be_used_stops_the_start_with_a_sentence(bench: Bench) -> None:
    (bench.directory / "ingest").write_text("a file where the directory should be")
    with pytest.raises(StartupError, match="cannot be used"):
        bench.run(nothing)


@pytest.mark.interpreted
def test_failures_are_counted_logged_and_passed_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_ops: FileOps, _fd: int, _parts: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def test(storage: Storage) -> None:
        monkeypatch.setattr(FileOps, "writev", full)
        assert not await stored(storage.sink, b"{}\n")  # type: ignore[arg-type]
        assert storage.sink.problem is not None
        monkeypatch.undo()

    context = bench.run(test)
    assert total(context, "logops_sink_errors_total") >= 1
    assert bench.failures >= 1
    assert "the sink failed: write" in caplog.text


def test_a_thread_that_syncs_is_mentioned_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FileOps, "kernel_sync", lambda _ops, _loop: None)
    monkeypatch.setattr("sys.platform", "linux")
    with caplog.at_level(logging.INFO):
        bench.run(nothing)
    assert "a thread syncs instead" in caplog.text


def test_housekeeping_runs_and_is_counted(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    old = bench.directory / "ingest" / f"{datetime.now(UTC) - timedelta(days=30):%Y%m%d}.ndjson"
    old.parent.mkdir()
    old.write_bytes(b"{}\n")

    async def test(storage: Storage) -> None:
        await until(lambda: not old.exists())

    with caplog.at_level(logging.INFO):
        context = bench.run(test, **{"housekeeping.autorun": True})
    assert total(context, "logops_housekeeping_runs_total") == 1
    assert "housekeeping: delete" in caplog.text


def test_a_disabled_sink_keeps_nothing(bench: Bench) -> None:
    async def test(storage: Storage) -> None:
        assert not storage.sink.stores
        assert await stored(storage.sink, b"{}\n")  # type: ignore[arg-type]

    bench.run(test, **{"sink.enabled": False})
    assert not (bench.directory / "ingest").exists()
