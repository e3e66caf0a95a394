"""The shipper on a loop: real files of a real sink writer, and a Loki on a real socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logops_fast.errors import StartupError
from logops_fast.ingest.sink.group_writer import Group
from logops_fast.runtime import shipping
from logops_fast.shipper.entries import rfc3339_ns
from logops_fast.shipper.loki import PUSH_PATH
from logops_fast.shipper.replay import replay
from logops_fast.telemetry.registry import Registry
from tests.loki.real import RealStore
from tests.loki.store import HOUR, Limits
from tests.shipper.world import DAY, World, day, play, until


def test_lines_arrive_with_their_labels_time_and_metadata(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            now = world.loki.store.wall()
            world.put(
                1, ts=rfc3339_ns(now - 5), level="ERROR", app="shop", trace_id="abc", source="rejected", stream="x"
            )
            world.put(0, rejected=1)
            await world.start()
            await world.arrive()
            events, rejected = sorted(world.loki.store.entries(), key=lambda entry: entry.labels)
            instance = f"{world.machine}-0"
            assert events.labels == f'{{emitter="web", instance="{instance}", level="ERROR", stream="events"}}'
            assert rejected.labels == f'{{emitter="web", instance="{instance}", stream="rejected"}}'
            assert events.ns == now - 5
            assert dict(events.metadata) == {
                "app": "shop", "trace_id": "abc", "source": "rejected", "seq": f"{day(world.wall)}.000000000000",
            }  # fmt: skip
            assert json.loads(events.line)["msg"] == "line 1"

    play(main)


def test_nothing_is_shipped_before_it_is_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.put(3)
            group = Group(day(world.wall))
            group.add(world.lines(5), b"", None)
            world.writer().write(group)
            await world.start()
            await until(lambda: len(world.loki.store.entries()) == 3)
            assert world.shipper is not None
            await until(lambda: world.shipper is not None and world.shipper.pending == 0)
            world.writer().abandon(group)
            world.put(2, other="longer than what was cut away")
            await world.arrive()

    play(main)


@pytest.mark.parametrize("fault", ["cut before", "cut after", "500 before", "500 after", "503", "429"])
def test_a_fault_costs_no_line_and_doubles_none(tmp_path: Path, fault: Any) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2), batch_bytes=4096) as world:
            for _ in range(5):
                world.loki.faults += ["429" if fault == "429" else fault]
            world.put(200, rejected=30)
            await world.start()
            await world.arrive()
            assert not world.loki.faults
            assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


def test_what_loki_did_not_find_before_is_asked_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2, query_ingesters_within=0)) as world:
            # In doubt as it was there at the first start, so it is asked for, before and after the push.
            world.loki.faults.append("cut after")
            world.put(20, ts=rfc3339_ns(world.loki.store.wall() - HOUR))
            shipper = await world.start()
            await world.arrive()
            await until(lambda: shipper.pending == 0)
            assert world.loki.requests["/loki/api/v1/push"] == 1
            await world.arrive()

    play(main)


def test_loki_away_is_waited_for_and_shown(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.loki.stop()
            world.put(10)
            shipper = await world.start()
            await until(lambda: shipper.trouble is not None)
            assert shipper.trouble is not None
            assert shipper.trouble.reason == "loki_unreachable"
            await until(lambda: world.metric("logops_ship_lag_bytes") > 0)
            await world.loki.start()
            await world.arrive()
            await until(lambda: shipper.trouble is None)
            await until(lambda: world.metric("logops_ship_lag_bytes") == 0)

    play(main)


def test_loki_away_for_three_hours_by_the_clock(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            if isinstance(world.loki.store, RealStore):
                pytest.skip("a real Loki has a clock of its own")
            later = 0
            real = world.loki.store.wall
            world.loki.store.wall = lambda: real() + later
            shipper = await world.start()
            shipper._wall = shipper._ledger._wall = world.loki.store.wall
            world.put(5)
            await world.arrive()
            await world.loki.stop()
            for hours in range(4):
                later = hours * HOUR
                world.put(5)
                await until(lambda: shipper.trouble is not None)
            await world.loki.start()
            await world.arrive()
            assert not [entry for entry in world.loki.store.entries() if "original_ts" in dict(entry.metadata)]
            assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


def test_killed_while_pushing_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2), batch_bytes=4096) as world:
            for round_ in range(6):
                # Stored, and never answered: as if it was killed before the answer came.
                world.loki.delay = 3600 if round_ % 2 else 0
                world.put(100)
                if round_ == 3:
                    world.put(100, ts="2020-01-01T00:00:00Z")
                # Not until more is stored: a push of nothing but old lines stores none, and is not answered either.
                before = world.loki.requests[PUSH_PATH]
                await world.start()
                await until(lambda before=before: world.loki.requests[PUSH_PATH] > before)  # type: ignore[misc]
                await world.kill()
            world.loki.delay = 0
            await world.start()
            await world.arrive()
            assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


def test_lines_that_came_after_a_crash_are_not_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.put(5)
            await world.start()
            await world.arrive()
            await world.kill()
            await world.start()
            world.put(5)
            await world.arrive()
            questions = world.loki.requests["/loki/api/v1/query_range"]
            for _ in range(3):
                world.put(5)
                await world.arrive()
            if not isinstance(world.loki.store, RealStore):  # whose own count is among them
                assert world.loki.requests["/loki/api/v1/query_range"] == questions

    play(main)


def test_torn_positions_are_settled_by_asking(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1)) as world:
            world.put(50, rejected=5)
            await world.start()
            await world.arrive()
            await world.stop()
            path = world.dir / "ship" / "positions.json"
            path.write_bytes(path.read_bytes()[:40])
            world.put(50, rejected=5)
            await world.start()
            await world.arrive()

    play(main)


def test_day_rollover_and_workers(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.start()
            for worker in (0, 1):
                world.put(5, worker=worker, workers=2)
            world.wall += DAY
            for worker in (0, 1):
                world.put(5, worker=worker, workers=2, rejected=2)
            await world.arrive()
            instances = {stream.labels["instance"] for stream in world.loki.store.streams.values()}
            assert instances == {f"{world.machine}-0", f"{world.machine}-1"}

    play(main)


def test_the_first_start_is_at_the_end_or_where_another_collector_was(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, start="end") as world:
            world.put(4)
            shipped = world.expected()
            await world.start()
            world.put(3)
            await world.arrive(world.expected() - shipped)
        async with World(tmp_path / "second") as second:
            second.put(2)
            name = f"{day(second.wall)}.ndjson"
            positions = tmp_path / "positions.yaml"
            positions.write_text(
                f'positions:\n  /var/lib/logops/ingest/{name}: "{(second.dir / name).stat().st_size}"\n'
            )
            before = second.expected()
            second.put(3)
            await second.start(positions)
            await second.arrive(second.expected() - before)
            await second.stop()
            with pytest.raises(StartupError, match="first start only"):
                await second.start(positions)

    play(main)


def test_one_shipper_a_directory(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.start()
            other = shipping.shipper(world.settings(), Registry())
            with pytest.raises(StartupError, match="another shipper"):
                await other.start()
            await other.stop()

    play(main)


def test_what_loki_does_not_take_is_kept_and_replayed(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(max_line_size=500)) as world:
            world.put(20)
            world.put(1, text="x" * 600)
            world.put(20)
            await world.start()
            await until(lambda: len(world.loki.store.entries()) == 40)
            folder = world.dir / "ship" / "unshippable"
            await until(lambda: folder.exists() and bool(list(folder.iterdir())))
            await world.stop()
            (kept,) = folder.iterdir()
            assert json.loads(kept.read_text())["reason"] == "line_too_long"
            options, maker = shipping.options(world.settings()), shipping.maker(world.settings())
            assert await replay(options, shipping.loki(world.settings()), maker, Registry()) == (0, 1)
            world.loki.store.limits = Limits()
            assert await replay(options, shipping.loki(world.settings()), maker, Registry()) == (1, 0)
            assert not list(folder.iterdir())
            await world.arrive()

    play(main)


def test_old_entries_are_retimed_and_the_backlog_keeps_its_times(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, batch_bytes=4096) as world:
            now = world.loki.store.wall()
            # A backlog of three hours, with a stray of last year in it.
            for at in range(30):
                world.put(5, ts=rfc3339_ns(now - 3 * HOUR + at * HOUR // 10))
                if at == 2:
                    world.put(1, ts="2020-01-01T00:00:00Z")
            await world.start()
            await world.arrive()
            retimed = [entry for entry in world.loki.store.entries() if "original_ts" in dict(entry.metadata)]
            assert [dict(entry.metadata)["original_ts"] for entry in retimed] == ["2020-01-01T00:00:00Z"]

    play(main)


def test_the_token_is_sent_and_a_wrong_one_is_shown(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, tenant="team-a", token="wrong") as world:
            world.loki.token = "right"
            world.put(1)
            shipper = await world.start()
            await until(lambda: shipper.trouble is not None)
            assert shipper.trouble is not None
            assert shipper.trouble.reason == "loki_refuses"
            await world.stop()
            world.ship["token"] = "right"
            await world.start()
            await world.arrive()
            assert b"\r\nx-scope-orgid: team-a\r\n" in world.loki.heads[-1]

    play(main)


def test_once_ends_when_everything_is_shipped(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, batch_bytes=4096) as world:
            world.put(300, rejected=7)
            seen: list[tuple[int, int]] = []
            shipper = shipping.shipper(world.settings(), Registry())
            await shipper.run_once(lambda shipped, left: seen.append((shipped, left)))
            await world.arrive()
            assert seen[-1][1] == 0

    play(main)
