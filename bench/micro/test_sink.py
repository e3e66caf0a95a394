"""The file sink: what a commit takes, alone and with others in its group. Wall time, since it waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import corpus
from bench.micro.conftest import Stage
from logops_fast.ingest.serialiser import to_lines
from logops_fast.ingest.sink.file_sink import Durability, FileSink
from logops_fast.runtime.loop import new_event_loop


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("together", [1, 32], ids=["alone", "group-of-32"])
@pytest.mark.parametrize("durability", ["fsync", "written"])
def test_commit(
    stage: Stage, loop: asyncio.AbstractEventLoop, disk: Path, size: int, durability: Durability, together: int
) -> None:
    lines = to_lines(corpus.events(size))

    async def opened() -> FileSink:
        sink = FileSink(disk, durability=durability)
        await sink.start()
        return sink

    async def commit(sink: FileSink) -> list[bool]:
        done: list[asyncio.Future[bool]] = []
        for _ in range(together):
            future = loop.create_future()
            sink.append(lines, future.set_result)
            done.append(future)
        return await asyncio.gather(*done)

    sink = loop.run_until_complete(opened())
    name = f"sink: {together} batch{'es' if together > 1 else ''} to the answer, {durability} (wall)"
    stored = stage(name, lambda: loop.run_until_complete(commit(sink)), events=size * together)
    loop.run_until_complete(sink.close())
    assert stored == [True] * together
