"""Two gateways on one Redis, and the disk of one stalls for longer than a claim lasts: each batch is stored once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.ingest.sink import file_sink
from logops_fast.ingest.sink.file_sink import CONFIRM_AFTER, FileSink
from logops_fast.state.redis_store import RedisStore
from logops_fast.telemetry.registry import Registry
from tests.ingest.sink.support import DAY, NOON, FaultyOps, StallingOps, SteppedClock
from tests.support.services import redis_server

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.interpreted]

CLAIM_TTL = 1.5  # s


class Machine:
    """One gateway: its sink and pipeline, with its own connection to Redis."""

    def __init__(self, directory: Path, url: str, ops: FaultyOps | None = None) -> None:
        self.clock = SteppedClock()
        self.store = RedisStore(url, 300, claim_ttl=CLAIM_TTL, timeout=5)
        self.sink = FileSink(
            directory, wall=lambda: NOON, clock=self.clock, claims=self.store.batch_ids, ops=ops, probe_interval=60
        )
        self.pipeline = IngestPipeline(
            normaliser=Normaliser(),
            sink=self.sink,
            batch_ids=self.store.batch_ids,
            metrics=IngestMetrics(Registry(), ["web"]),
            wall=lambda: NOON,
        )
        self.directory = directory

    async def start(self) -> None:
        await self.sink.start(probe=False)
        self.store.worker_started(0)
        self.store.healthy()  # connects

    async def send(self, batch_id: str) -> Reply:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = b'[{"msg":"%b"}]' % batch_id.encode()
        self.pipeline.send(Batch(body, Format.JSON, "web", "na", batch_id, True, 0.0), reply.set_result)
        return await asyncio.wait_for(reply, 60)

    async def close(self) -> None:
        await self.sink.close()
        await self.store.close()

    def stored(self) -> list[str]:
        path = self.directory / f"{DAY}.ndjson"
        return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("suspended", [False, True], ids=["stalled", "stalled and suspended"])
def test_a_batch_that_waits_longer_than_its_claim_lasts_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suspended: bool
) -> None:
    """A gateway that runs renews its claims. One that is suspended cannot, and finds that it has lost them."""
    monkeypatch.setattr(file_sink, "RENEW_INTERVAL", 3600.0 if suspended else 0.1)

    async def scenario(url: str) -> None:
        ops = StallingOps("write")
        one, other = Machine(tmp_path / "one", url, ops), Machine(tmp_path / "other", url)
        await one.start()
        await other.start()
        waiting = [asyncio.ensure_future(one.send(name)) for name in ("taken", "kept")]
        await asyncio.to_thread(ops.entered.wait, 20)
        loop = asyncio.get_running_loop()
        end = loop.time() + (60 if suspended else 3 * CLAIM_TTL)
        reply = await other.send("taken")
        while loop.time() < end and reply.status != 200:
            assert reply.reason == "batch_in_progress"
            await asyncio.sleep(0.05)
            reply = await other.send("taken")
        assert (reply.status == 200) == suspended
        one.clock.ahead += CONFIRM_AFTER + 1
        ops.gate.set()
        replies = await asyncio.gather(*waiting)
        assert [answer.status for answer in replies] == ([503, 200] if suspended else [200, 200])
        again = await one.send("taken"), await other.send("kept")
        assert [answer.status for answer in again] == [200, 200]
        await one.close()
        await other.close()
        lines = one.stored() + other.stored()
        assert sum("taken" in line for line in lines) == 1
        assert sum("kept" in line for line in lines) == 1

    with redis_server() as server:
        asyncio.run(scenario(server.url))
