"""The runner over real sockets, against a gateway with scripted answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logops_fast.emitters.runner import Progress, claim, missed, rehearse, run
from logops_fast.emitters.scenario import Expect, Scenario, parse
from logops_fast.emitters.target import Target
from logops_fast.emitters.totals import Count, Totals
from tests.emitters.support import KEY, SECRET, FakeGateway, Request, refused, scenario, stored
from tests.support.scripted_server import Peer, ScriptedServer
from tests.support.scripted_server import run as run_on_loop
from tests.support.signing import V2_FIELDS, signed_v2


def against(
    reply: Callable[[Request, int], bytes | None], plan: Scenario, **options: Any
) -> tuple[Totals, list[Request]]:
    """Run ``plan`` against a gateway that answers ``reply``; the totals, and what arrived."""

    async def main() -> tuple[Totals, list[Request]]:
        async with FakeGateway(reply) as gateway:
            totals = await run(plan, gateway.target, seed=1, **options)
            return totals, gateway.requests

    found: tuple[Totals, list[Request]] = run_on_loop("uvloop", main)
    return found


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_batch_is_signed_with_a_nonce_and_an_id_of_its_own() -> None:
    totals, requests = against(lambda *_: stored(10), scenario())
    assert (totals.sent, totals.accepted, totals.lost) == (Count(40, 4), Count(40, 4), Count())
    assert len(requests) == 4
    for request in requests:
        got = request.headers
        fields = {name: got.get(name.lower(), "") for name in V2_FIELDS}
        expected = signed_v2(KEY, SECRET, request.body, fields, timestamp=got["x-timestamp"], nonce=got["x-nonce"])
        assert {name.lower(): value for name, value in expected.items() if value}.items() <= got.items()
        assert got["x-scenario-id"] == "test"
        assert got["x-emitter"] == "json"
        assert got["content-type"] == "application/json"
        assert len(json.loads(request.body)) == 10
    for header in ("x-nonce", "x-batch-id", "x-signature"):
        assert len({request.headers[header] for request in requests}) == 4


def test_a_slow_answer_does_not_slow_the_schedule_and_its_wait_is_counted() -> None:
    async def main() -> tuple[Totals, int]:
        held: list[asyncio.Event] = []
        # nothing is answered until everything that is due was sent: a closed loop would never get there

        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                if len(held) < 3:
                    held.append(asyncio.Event())
                    await held[-1].wait()
                else:
                    for event in held:
                        event.set()
                await peer.write(stored(10))

        async with ScriptedServer(script) as server:
            totals = await run(scenario(), Target(server.url, KEY, SECRET.encode()), seed=1)
            return totals, server.most_open

    totals, connections = run_on_loop("uvloop", main)
    assert totals.accepted == Count(40, 4)
    assert connections == 4
    assert totals.p99 is not None
    # the first batch was due at 0 and could be answered when the fourth was sent, at 0.3
    assert totals.p99 >= 0.29


def test_what_is_refused_is_counted_by_its_reason_and_lost_where_it_is_dropped() -> None:
    def reply(_: Request, number: int) -> bytes:
        return (
            stored(9, 1) if number != 2 else refused(b"429 Too Many Requests", b"rate_limited", b"retry-after: 1\r\n")
        )

    totals, requests = against(reply, scenario())
    assert len(requests) == 4
    assert (totals.accepted, totals.rejected) == (Count(27, 3), Count(3, 3))
    assert totals.refused == {"429 rate_limited": Count(10, 1)}
    assert totals.lost == Count(10, 1)
    assert totals.sent.events == totals.accepted.events + totals.rejected.events + totals.lost.events


@pytest.mark.slow
def test_a_retry_obeys_retry_after_and_keeps_its_batch_id_with_a_new_nonce() -> None:
    async def main() -> tuple[Totals, list[Request], list[float]]:
        times: list[float] = []

        def reply(_: Request, number: int) -> bytes:
            times.append(asyncio.get_running_loop().time())
            return (
                stored(10) if number > 1 else refused(b"503 Service Unavailable", b"overloaded", b"retry-after: 1\r\n")
            )

        async with FakeGateway(reply) as gateway:
            plan = scenario(eps=100, args={"batch_size": 10, "on_refusal": "retry"}, schedule={"stop_after_sec": 0.1})
            return await run(plan, gateway.target, seed=1), gateway.requests, times

    totals, (first, second), times = run_on_loop("uvloop", main)
    assert totals.accepted == Count(10, 1)
    assert (totals.retries, totals.refused) == (1, {})
    assert times[1] - times[0] >= 0.99
    assert first.body == second.body
    assert first.headers["x-batch-id"] == second.headers["x-batch-id"]
    assert first.headers["x-nonce"] != second.headers["x-nonce"]
    assert first.headers["x-signature"] != second.headers["x-signature"]


def test_a_refusal_that_is_no_question_of_time_is_not_retried() -> None:
    plan = scenario(args={"batch_size": 10, "on_refusal": "retry"})
    totals, requests = against(lambda *_: refused(b"401 Unauthorized", b"bad_signature"), plan)
    assert len(requests) == 4
    assert totals.refused == {"401 bad_signature": Count(40, 4)}


def test_a_refused_connection_is_counted_as_such_and_the_run_ends() -> None:
    async def main() -> Totals:
        return await run(scenario(), Target("http://127.0.0.1:1/ingest", KEY, b"s"), seed=1)

    totals = run_on_loop("uvloop", main)
    assert totals.refused == {"connect": Count(40, 4)}
    assert totals.p95 is None
    assert missed(scenario(), totals) == ["40 events were never answered (connect)"]


def test_what_is_never_answered_is_lost_once_the_drain_is_over() -> None:
    totals, _ = against(lambda _, number: stored(10) if number == 1 else None, scenario(), drain=0.05)
    assert totals.accepted == Count(10, 1)
    assert totals.refused == {"no_answer": Count(30, 3)}


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_a_replay_is_the_very_same_request_and_counts_nowhere_else(delay: float) -> None:
    seen: set[str] = set()

    def reply(request: Request, _: int) -> bytes:
        nonce = request.headers["x-nonce"]
        if nonce in seen:
            return refused(b"401 Unauthorized", b"replay")
        seen.add(nonce)
        return stored(10)

    attack = {"kind": "replay", "every": 2, "copies": 2, "delay_sec": delay}
    totals, requests = against(reply, scenario(attack=attack))
    assert totals.accepted == Count(40, 4)
    assert totals.lost == Count()
    assert totals.replays_refused == Counter({"401 replay": 4})
    assert totals.replays_accepted == 0
    copies = Counter((request.head, request.body) for request in requests)
    assert sorted(copies.values()) == [1, 1, 3, 3]


def test_a_replay_that_is_accepted_is_a_failed_expectation() -> None:
    plan = scenario(attack={"kind": "replay"})
    totals, _ = against(lambda *_: stored(10), plan)
    assert totals.replays_accepted == 4
    assert missed(plan, totals) == ["4 replayed requests were accepted"]


def test_stopping_finishes_the_tick_and_writes_the_end(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def main() -> Totals:
        stop = asyncio.Event()
        stop.set()
        async with FakeGateway(lambda *_: stored(10)) as gateway:
            return await run(scenario(eps=200), gateway.target, seed=1, stop=stop, telemetry_path=path)

    totals = run_on_loop("uvloop", main)
    assert totals.interrupted
    assert totals.accepted == Count(20, 2)
    start, tick, end = rows(path)
    assert (start["event"], tick["event"], end["event"]) == ("scenario.start", "tick", "scenario.end")
    assert end["interrupted"]


def test_a_cancelled_run_leaves_no_connection_and_no_task() -> None:
    async def main() -> set[Any]:
        async with FakeGateway(lambda *_: None) as gateway:
            task = asyncio.create_task(run(scenario(), gateway.target, seed=1))
            while not gateway.requests:  # noqa: ASYNC110 - the gateway has no event for it
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return {other for other in asyncio.all_tasks() if "_serve" not in repr(other)} - {asyncio.current_task()}

    assert run_on_loop("uvloop", main) == set()


def test_the_ticks_of_the_telemetry_sum_up_to_its_totals(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    def reply(_: Request, number: int) -> bytes:
        return stored(8, 2) if number % 3 else refused(b"429 Too Many Requests", b"rate_limited")

    totals, _ = against(reply, scenario(eps=300), telemetry_path=path)
    start, *ticks, end = rows(path)
    assert len(ticks) == 4
    assert start["emitters"][0]["seed"] == "1/0/json"
    for key in ("sent", "accepted", "rejected", "lost"):
        assert sum(tick[key] for tick in ticks) == end["totals"][key] == end["emitters"]["json"][key]
    assert sum(tick["refused"].get("429 rate_limited", 0) for tick in ticks) == totals.lost.events == 40
    assert sum(sum(tick["levels"].values()) for tick in ticks) == 120
    tick = ticks[1]
    assert {"ts", "ts_iso", "t_rel", "base_eps", "eff_eps", "jitter_scale", "n", "latency"} <= set(tick)
    assert (tick["t_rel"], tick["n"], tick["base_eps"]) == (0.1, 30, 300)
    assert 0 < tick["latency"]["p50"] <= tick["latency"]["p99"]


def test_progress_is_reported_at_the_end_of_each_tick() -> None:
    seen: list[Progress] = []
    against(lambda *_: stored(10), scenario(), on_tick=seen.append)
    assert [round(progress.elapsed, 3) for progress in seen] == [0.1, 0.2, 0.3, 0.4]
    assert seen[-1].left == 0
    assert seen[-1].accepted == Count(40, 4)
    assert {progress.target_eps for progress in seen} == {100.0}
    assert sum(progress.achieved_eps * 0.1 for progress in seen) == pytest.approx(40)


def dry(plan: Scenario, *, seed: int | None = 1, start_at: float = 1e9) -> bytes:
    out: list[bytes] = []
    rehearse(plan, out.append, seed=seed, start_at=start_at)
    return b"".join(out)


MIXED = """
name: mixed
duration_sec: 5
emitters:
  - {name: json, eps: 120, schedule: {jitter_pct: 30}}
  - {name: noise, eps: 40, bursts: {every_sec: 2, length_sec: 1, factor: 3}}
"""


def test_a_dry_run_is_the_same_bytes_for_the_same_seed_and_start() -> None:
    plan = parse(MIXED)
    assert dry(plan) == dry(plan)
    assert hashlib.sha256(dry(plan)).digest() != hashlib.sha256(dry(plan, seed=2)).digest()


def test_a_dry_run_at_another_time_differs_in_its_timestamps_only() -> None:
    def bare(text: bytes) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in text.splitlines()]
        for row in found:
            del row["ts"], row["ts_iso"]
        return found

    assert bare(dry(parse(MIXED))) == bare(dry(parse(MIXED), start_at=1.5e9 + 0.25))


def test_a_dry_run_makes_every_event() -> None:
    found = [json.loads(line) for line in dry(parse(MIXED)).splitlines()]
    ticks = [row for row in found if row["event"] == "tick" and row["emitter"] == "json"]
    assert all(sum(row["levels"].values()) == row["n"] for row in ticks)
    assert sum(row["n"] for row in ticks) == pytest.approx(600, rel=0.3)


def test_an_emitter_is_claimed_where_the_client_may_use_it() -> None:
    plan = scenario().emitters[0]
    allowed, forbidden = (
        Target("http://h/", "k", b"s", frozenset({"json"})),
        Target("http://h/", "k", b"s", frozenset()),
    )
    assert claim(plan, allowed) == "json"
    assert claim(plan, forbidden) is None
    assert claim(plan, Target("http://h/", "k", b"s")) == "json"
    assert claim(scenario(emitter="web").emitters[0], forbidden) == "web"


def test_expectations_are_held_against_the_totals() -> None:
    plan = Scenario("s", 1, (), expect=Expect((413, 429), ("json", "csv")))
    totals = Totals(refused={"429 rate_limited": Count(5, 1)})
    totals.emitters = {"json": Totals(sent=Count(1, 1)), "csv": Totals(sent=Count(5, 1), refused=totals.refused)}
    assert missed(plan, totals) == [
        "nothing was refused with 413",
        "5 events of csv were not accepted (429 rate_limited)",
    ]
