"""Runs a scenario: one process, open-loop. A batch is sent when it is due, whether or not earlier ones were answered.

Latency counts from the moment a batch was due, so that a stall shows in everything that was due during it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from logops_fast.emitters.scenario import EmitterPlan, Scenario
from logops_fast.emitters.schedule import Tick, batches, tick_count, ticks
from logops_fast.emitters.sender import Lane, Sender
from logops_fast.emitters.target import Target
from logops_fast.emitters.telemetry import Telemetry, Write
from logops_fast.emitters.totals import Count, Latency, Totals, unmet

DRAIN: Final = 10.0
"""Time for answers and retries after the last tick, in seconds."""
_MAX_IN_A_ROW: Final = 16
"""Batches sent before answers are read, when sending is behind the timetable."""


class Progress(NamedTuple):
    """The state of a run at the end of a tick. Rates are events a second in that tick, all else is so far."""

    elapsed: float
    duration: float
    target_eps: float
    achieved_eps: float
    sent: Count
    accepted: Count
    rejected: Count
    refused: dict[str, Count]
    in_flight: int
    latency: Latency
    lateness: float
    """Seconds by which the last batch of the tick was late: if it grows, the sender itself is too slow."""

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(0.0, self.duration - self.elapsed)


OnTick = Callable[[Progress], None]


async def run(
    scenario: Scenario,
    target: Target,
    *,
    seed: int | None = None,
    on_tick: OnTick | None = None,
    telemetry_path: Path | None = None,
    stop: asyncio.Event | None = None,
    own_emitter: bool = False,
    drain: float = DRAIN,
) -> Totals:
    """Run ``scenario`` against ``target`` to its end, or to the end of the tick in which ``stop`` is set.

    Runs with the same ``seed`` have the same events and timetable; without one each emitter uses its ``args.seed``, or
    a random one. ``own_emitter``: send no X-Emitter. ``drain``: seconds to wait for answers at the end.

    Raises ConfigError if an emitter script cannot be used, and OSError if the telemetry file cannot be written.
    """
    fallback = time.time_ns() & 0xFFFFFFFF if seed is None else seed
    scenario = scenario.seeded(seed, fallback)
    with ExitStack() as files:
        write: Write = _nowhere
        if telemetry_path is not None:
            # unbuffered: each tick is visible at once, and a killed run leaves its ticks
            write = files.enter_context(telemetry_path.open("wb", buffering=0)).write
        sender = Sender(target, scenario.name, clock=monotonic)
        try:
            lanes = [sender.lane(plan, None if own_emitter else claim(plan, target)) for plan in scenario.emitters]
            start_at = time.time()
            telemetry = Telemetry(write, scenario, start_at)
            telemetry.start(fallback, url=target.url)
            state = _Run(scenario, sender, lanes, monotonic(), start_at)
            totals = await state.run(telemetry, on_tick, stop, drain)
            telemetry.end(totals, missed(scenario, totals))
        finally:
            await sender.aclose()
    return totals


def rehearse(scenario: Scenario, write: Write, *, seed: int | None = None, start_at: float) -> Totals:
    """Do a dry run: every event is made, none is sent, and no time passes. ``start_at``: start, in epoch seconds.

    With a seed (or ``args.seed`` everywhere) the output is the same each time, apart from what depends on
    ``start_at``.
    """
    fallback = int(start_at) if seed is None else seed
    scenario = scenario.seeded(seed, fallback)
    telemetry = Telemetry(write, scenario, start_at)
    telemetry.start(fallback, dry_run=True)
    totals = Totals(seconds=scenario.duration_sec)
    makers = [plan.make() for plan in scenario.emitters]
    totals.emitters = {plan.name: Totals() for plan in scenario.emitters}
    for row in _timetable(scenario):
        for plan, maker, tick in zip(scenario.emitters, makers, row, strict=True):
            done = Totals()
            for due, count in batches(tick, plan.batch_size):
                done.levels.update(maker.batch(count, start_at + due).levels)
            telemetry.tick(plan.name, tick, done)
            totals.emitters[plan.name].add(done)
            totals.add(done)
    telemetry.end(totals, [])
    return totals


def missed(scenario: Scenario, totals: Totals) -> list[str]:
    """Return the expectations of the scenario that were not met; without any, that every batch was answered."""
    if totals.interrupted:
        return []
    if scenario.expect is not None:
        return unmet(totals, scenario.expect.refused_with, scenario.expect.all_accepted)
    found = unmet(totals, (), ())
    silent = {reason: count.events for reason, count in totals.refused.items() if not reason[0].isdigit()}
    if silent:
        found.append(f"{sum(silent.values())} events were never answered ({', '.join(sorted(silent))})")
    return found


def claim(plan: EmitterPlan, target: Target) -> str | None:
    """Return an emitter's X-Emitter: the one of its plan, else its name if the client may use it, else None."""
    if plan.emitter is not None:
        return plan.emitter
    return plan.name if target.emitters is None or plan.name in target.emitters else None


class _Run:
    """The state of a run."""

    def __init__(self, scenario: Scenario, sender: Sender, lanes: list[Lane], start: float, start_at: float) -> None:
        self._scenario = scenario
        self._sender = sender
        self._lanes = lanes
        self._start = start  # on the monotonic clock
        self._start_at = start_at  # on the wall clock
        self._totals = Totals()
        self._lateness = 0.0

    async def run(
        self, telemetry: Telemetry, on_tick: OnTick | None, stop: asyncio.Event | None, drain: float
    ) -> Totals:
        """Send tick by tick; the last tick ends once everything is answered."""
        totals = self._totals
        last = tick_count(self._scenario.duration_sec, self._scenario.tick_sec) - 1
        for row in _timetable(self._scenario):
            await self._send(row)
            await self._until(row[0].end)
            totals.seconds = row[0].end
            totals.interrupted = stop is not None and stop.is_set() and row[0].number < last
            ends = totals.interrupted or row[0].number == last
            if ends:
                await self._sender.drain(drain)
            self._close(row, telemetry, on_tick)
            if ends:
                break
        totals.latency = self._sender.latency.latency()
        for lane in self._lanes:
            lane.total.latency = lane.latency.latency()
            totals.emitters[lane.plan.name] = lane.total
        return totals

    async def _send(self, row: list[Tick]) -> None:
        """Send all batches of a tick, each when it is due."""
        due_batches = [
            (due, number, count)
            for number, (lane, tick) in enumerate(zip(self._lanes, row, strict=True))
            for due, count in batches(tick, lane.plan.batch_size)
        ]
        due_batches.sort()
        clock = monotonic  # uvloop's own clock has milliseconds only, and does not advance while callbacks run
        start, sender, lanes = self._start, self._sender, self._lanes
        for sent, (due, number, count) in enumerate(due_batches):
            wait = start + due - clock()
            if wait > 0:
                await asyncio.sleep(wait)
            elif sent % _MAX_IN_A_ROW == 0:
                await asyncio.sleep(0)
            sender.send(lanes[number], count, start + due, self._start_at + due)
        self._lateness = max(0.0, clock() - start - due_batches[-1][0]) if due_batches else 0.0

    async def _until(self, moment: float) -> None:
        wait = self._start + moment - monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    def _close(self, row: list[Tick], telemetry: Telemetry, on_tick: OnTick | None) -> None:
        """Record a tick, and report it to ``on_tick``."""
        totals = self._totals
        before = totals.accepted.events
        for lane, tick in zip(self._lanes, row, strict=True):
            done = lane.close_window()
            totals.add(done)
            telemetry.tick(lane.plan.name, tick, done)
        if on_tick is None:
            return
        tick = row[0]
        on_tick(
            Progress(
                elapsed=tick.end,
                duration=self._scenario.duration_sec,
                target_eps=sum(each.eff_eps for each in row),
                achieved_eps=(totals.accepted.events - before) / (tick.end - tick.begin),
                sent=totals.sent,
                accepted=totals.accepted,
                rejected=totals.rejected,
                refused=dict(totals.refused),
                in_flight=self._sender.in_flight,
                latency=self._sender.latency.latency(),
                lateness=self._lateness,
            )
        )


def _timetable(scenario: Scenario) -> Iterator[list[Tick]]:
    """Return, for each tick of the scenario, the ticks of all emitters."""
    rows = [ticks(scenario.profile(plan), scenario.tick_sec, plan.options.seed) for plan in scenario.emitters]
    return (list(row) for row in zip(*rows, strict=True))


def _nowhere(_: bytes) -> None:
    return
