"""A sink's writer, a Loki on a real socket, and shippers that come and go, on one loop."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from logops_fast.config.sections.ship import ShipSettings
from logops_fast.config.sections.storage import SinkSettings
from logops_fast.config.settings import Settings
from logops_fast.ingest.sink.group_writer import Group, GroupWriter, WorkerLock
from logops_fast.runtime import shipping
from logops_fast.shipper.entries import rfc3339_ns
from logops_fast.shipper.shipper import Shipper
from logops_fast.telemetry.registry import Registry
from tests.loki.real import RealStore, real_loki
from tests.loki.server import LokiServer, seqs
from tests.loki.store import Limits
from tests.support.scripted_server import run

DAY = 86_400.0
FAR = 300.0  # s


class World:
    """A sink's writer, a Loki that runs within ``async with``, and shippers that come and go."""

    def __init__(
        self, directory: Path, limits: Limits | None = None, *, tls: ssl.SSLContext | None = None, **ship: Any
    ) -> None:
        self.dir = directory / "ingest"
        self.machine = "m"
        store = None
        if (url := real_loki()) is not None:
            if limits is not None and limits.max_line_size != Limits().max_line_size:
                pytest.skip("a real Loki has its own limits")
            self.machine = f"m{uuid.uuid4().hex}"
            store = RealStore(url, self.machine)
        self.loki = LokiServer(limits, store=store)
        self.loki.tls = tls
        self.ship = ship
        self.clock = 0.0
        self.wall = self.loki.store.wall() / 1e9
        self.writers: dict[int, GroupWriter] = {}
        self.written: set[tuple[str, str, str]] = set()
        self.shipper: Shipper | None = None
        self.registry = Registry()
        self.number = 0

    async def __aenter__(self) -> World:
        """Start Loki."""
        await self.loki.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what runs, also after a failure: uvloop waits at its end for what is open."""
        if self.shipper is not None:
            await self.shipper.stop()
        await self.loki.stop()

    def writer(self, worker: int = 0, workers: int = 1) -> GroupWriter:
        if worker not in self.writers:
            self.writers[worker] = writer = GroupWriter(
                self.dir,
                durable=True,
                worker=worker,
                workers=workers,
                lock=WorkerLock(self.dir, worker),
                wall=lambda: self.wall,
                clock=lambda: self.clock,
            )
            writer.open()
        return self.writers[worker]

    def lines(self, count: int, **fields: Any) -> bytes:
        out = []
        for _ in range(count):
            self.number += 1
            ts = fields.get("ts") or rfc3339_ns(self.loki.store.wall())
            event = {
                "ts": ts,
                "level": "INFO",
                "emitter": "web",
                "n": self.number,
                **fields,
                "msg": f"line {self.number}",
            }
            out.append(json.dumps({**event, "ts": ts}).encode() + b"\n")
        return b"".join(out)

    def put(self, count: int = 1, *, worker: int = 0, workers: int = 1, rejected: int = 0, **fields: Any) -> None:
        """Store and acknowledge a group."""
        writer = self.writer(worker, workers)
        group = Group(day(self.wall))
        group.add(self.lines(count, **fields) if count else b"", self.lines(rejected) if rejected else b"", None)
        writer.commit(group)
        writer.publish()

    def expected(self) -> set[tuple[str, str, str]]:
        """Every line in the files, by the names that they have."""
        found = set()
        for path in [*self.dir.glob("*.ndjson*"), *(self.dir / "rejected").glob("*.ndjson*")]:
            stem = path.name.partition(".ndjson")[0]
            stream = "rejected" if path.parent.name == "rejected" else "events"
            worker = stem.partition(".w")[2] or "0"
            at = 0
            for line in path.read_bytes().splitlines(keepends=True):
                found.add((stream, f"{self.machine}-{worker}", f"{stem}.{at:012d}"))
                at += len(line)
        return found

    def settings(self) -> Settings:
        ship: dict[str, Any] = {
            "url": self.loki.url, "machine": self.machine, "poll_interval": 0.01, "base_delay": 0.01, "max_delay": 0.05,
            "settle": 0.01, "start": "beginning", "query_within": 0.0, **self.ship,
        }  # fmt: skip
        return Settings(sink=SinkSettings(dir=str(self.dir)), ship=ShipSettings(**ship))

    async def start(self, import_positions: Path | None = None) -> Shipper:
        self.registry = Registry()
        self.shipper = shipping.shipper(self.settings(), self.registry, import_positions)
        await self.shipper.start()
        return self.shipper

    async def stop(self) -> None:
        assert self.shipper is not None
        await self.shipper.stop()

    async def kill(self) -> None:
        """Leave the files as a killed process would: nothing of the end is done."""
        assert self.shipper is not None
        self.shipper._stopping.set()
        for task in [*self.shipper._lanes.values(), *self.shipper._tasks]:
            task.cancel()
        await asyncio.gather(*self.shipper._lanes.values(), *self.shipper._tasks, return_exceptions=True)
        await self.shipper._loki.aclose()
        await self.shipper._in_thread(self.shipper._ledger.abandon)

    async def arrive(self, expected: set[tuple[str, str, str]] | None = None) -> None:
        """Wait until every line is in Loki, and see that none is there twice."""
        wanted = self.expected() if expected is None else expected
        await until(lambda: set(seqs(self.loki.store)) >= wanted)
        assert set(seqs(self.loki.store)) == wanted
        assert set(seqs(self.loki.store).values()) <= {1}
        if isinstance(self.loki.store, RealStore):
            assert self.loki.store.counted() == len(wanted)
            self.loki.store.flush()
            await until(lambda: set(seqs(self.loki.store)) == wanted)
            assert self.loki.store.counted() == len(wanted)

    def metric(self, name: str) -> float:
        return sum(values[0] for values in self.registry.sums(name).values())


def day(wall: float) -> str:
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y%m%d")


async def until(condition: Callable[[], bool]) -> None:
    pause = 0.005 if real_loki() is None else 1.0  # a real one is asked over HTTP
    async with asyncio.timeout(FAR):
        while not condition():  # noqa: ASYNC110 - what is waited for is not on this loop alone
            await asyncio.sleep(pause)


def play(main: Callable[[], Awaitable[None]]) -> None:
    run("uvloop", main)
