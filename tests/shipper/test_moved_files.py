"""What other programs do to the files that are shipped: they rename, truncate and remove them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from logops_fast.ingest.sink.group_writer import CHECK_INTERVAL
from tests.shipper.world import World, day, play, until


def test_a_file_that_is_rotated_is_read_to_its_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.put(5)
            await world.start()
            await world.arrive()
            path = world.dir / f"{day(world.wall)}.ndjson"
            path.rename(path.with_name(path.name + ".1"))
            world.put(5)  # the sink has not noticed: it goes to the renamed file
            world.clock += CHECK_INTERVAL
            world.put(5)
            await until(lambda: len(world.loki.store.entries()) == 15)
            await world.stop()
            # Renamed while no shipper runs.
            world.put(5)
            path.rename(path.with_name(path.name + ".2"))
            world.clock += CHECK_INTERVAL
            world.put(5)
            await world.start()
            await until(lambda: len(world.loki.store.entries()) == 25)
            messages = {json.loads(entry.line)["msg"] for entry in world.loki.store.entries()}
            assert len(messages) == 25

    play(main)


def test_a_file_that_is_truncated_begins_again_with_the_same_places(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.put(5)
            await world.start()
            await world.arrive()
            path = world.dir / f"{day(world.wall)}.ndjson"
            os.truncate(path, 0)
            await asyncio.sleep(0)
            world.clock += CHECK_INTERVAL
            world.put(5)
            await until(lambda: len(world.loki.store.entries()) == 10)
            assert len({entry.line for entry in world.loki.store.entries()}) == 10

    play(main)


def test_a_file_that_is_deleted_while_loki_is_away_is_shipped_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.loki.stop()
            world.put(5)
            shipper = await world.start()
            await until(lambda: shipper.trouble is not None)
            expected = world.expected()
            (world.dir / f"{day(world.wall)}.ndjson").unlink()
            await world.loki.start()
            await world.arrive(expected)

    play(main)


@pytest.mark.parametrize("shipped", [False, True], ids=["new", "begun"])
@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_a_file_that_is_moved_before_it_is_seen_is_found_while_the_sink_has_it(
    tmp_path: Path, how: str, shipped: bool
) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.put(0)
            if shipped:
                world.put(5, rejected=5)
                await world.start()
                await world.arrive()
                await world.stop()
            world.put(5, rejected=5)
            for path in (world.dir / f"{day(world.wall)}.ndjson", world.dir / "rejected" / f"{day(world.wall)}.ndjson"):
                if how == "removed":
                    path.unlink()
                else:
                    path.rename(tmp_path / f"{path.parent.name}.taken")
            await world.start()
            count = 20 if shipped else 10
            await until(lambda: len(world.loki.store.entries()) >= count)
            world.put(5, rejected=5)  # the sink has not noticed it, and writes to the same files
            await until(lambda: len(world.loki.store.entries()) >= count + 10)
            world.clock += CHECK_INTERVAL
            world.put(5, rejected=5)
            await until(lambda: len(world.loki.store.entries()) >= count + 20)
            assert len({entry.line for entry in world.loki.store.entries()}) == count + 20 == world.number
            assert world.metric("logops_ship_lost_files_total") == 0

    play(main)


def test_at_a_first_start_at_the_end_a_moved_file_is_at_its_end_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, start="end") as world:
            world.put(5)
            (world.dir / f"{day(world.wall)}.ndjson").rename(tmp_path / "taken")
            await world.start()
            world.put(5)
            await until(lambda: len(world.loki.store.entries()) >= 5)
            world.clock += CHECK_INTERVAL
            world.put(5)
            await until(lambda: len(world.loki.store.entries()) >= 10)
            assert {json.loads(entry.line)["n"] for entry in world.loki.store.entries()} == {*range(6, 16)}

    play(main)


def test_a_file_that_was_deleted_before_it_was_shipped_is_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.loki.stop()
            world.put(5)
            shipper = await world.start()
            await until(lambda: shipper.trouble is not None)
            await world.stop()
            path = world.dir / f"{day(world.wall)}.ndjson"
            os.link(path, tmp_path / "kept")  # or the next file may have its inode
            path.unlink()
            world.clock += CHECK_INTERVAL
            world.put(5)  # the sink has left the file as well
            await world.loki.start()
            await world.start()
            await until(lambda: world.metric("logops_ship_lost_files_total") == 1)

    play(main)
