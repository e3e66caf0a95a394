"""Runs a scenario: one process, open-loop. A batch is sent when it is due, whether or not earlier ones were answered.

Latency counts from the moment a batch was due, so that a stall is felt by everything that was due during it.
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
"""Seconds that answers and retries get after the last tick."""
_BREATH: Final = 16
"""Batches sent in a row before answers are read, when the timetable is behind."""


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
    """Seconds by which the last batch of the tick went out late: the sender itself is too slow where this grows."""

    @property
    def left(self) -> float:
        """Seconds to the end."""
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

    ``seed`` makes the events and the timetable the same as in every run with it; without one each emitter's own
    ``args.seed`` holds, and chance. ``own_emitter``: send no X-Emitter. Raises ConfigError for an emitter script that
    cannot be used, and OSError for a telemetry file that cannot be written.
    """
    fallback = time.time_ns() & 0xFFFFFFFF if seed is None else seed
    scenario = scenario.seeded(seed, fallback)
    with ExitStack() as files:
        write: Write = _nowhere
        if telemetry_path is not None:
            # unbuffered: whoever follows the file sees each tick, and a killed run leaves what it had
            write = files.enter_context(telemetry_path.open("wb", buffering=0)).write
        sender = Sender(target, scenario.name, clock=monotonic)
        try:
            lanes = [sender.lane(plan, None if own_emitter else claim(plan, target)) for plan in scenario.emitters]
            start_at = time.time()
            telemetry = Telemetry(write, scenario, start_at)
            telemetry.start(fallback, url=target.url)
            course = _Course(scenario, sender, lanes, monotonic(), start_at)
            totals = await course.run(telemetry, on_tick, stop, drain)
            telemetry.end(totals, missed(scenario, totals))
        finally:
            await sender.aclose()
    return totals


def rehearse(scenario: Scenario, write: Write, *, seed: int | None = None, start_at: float) -> Totals:
    """A dry run: every event is made, none is sent, and no time passes. ``start_at``: epoch seconds of the start.

    With a seed (or ``args.seed`` everywhere) all that is written is the same each time, but for what comes of
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
    """The scenario's expectations that did not come true; without any, that every batch was answered."""
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
    """What an emitter sends as X-Emitter: what its plan says, else its name where the client may use it."""
    if plan.emitter is not None:
        return plan.emitter
    return plan.name if target.emitters is None or plan.name in target.emitters else None


class _Course:
    """A run under way."""

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
        """Tick by tick to the end; the last tick ends once everything is answered."""
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
        """All batches of a tick, each when it is due."""
        due_batches = [
            (due, number, count)
            for number, (lane, tick) in enumerate(zip(self._lanes, row, strict=True))
            for due, count in batches(tick, lane.plan.batch_size)
        ]
        due_batches.sort()
        clock = monotonic  # the loop's own clock stands still while callbacks run, and uvloop's knows milliseconds only
        start, sender, lanes = self._start, self._sender, self._lanes
        for sent, (due, number, count) in enumerate(due_batches):
            wait = start + due - clock()
            if wait > 0:
                await asyncio.sleep(wait)
            elif sent % _BREATH == 0:
                await asyncio.sleep(0)
            sender.send(lanes[number], count, start + due, self._start_at + due)
        self._lateness = max(0.0, clock() - start - due_batches[-1][0]) if due_batches else 0.0

    async def _until(self, moment: float) -> None:
        wait = self._start + moment - monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    def _close(self, row: list[Tick], telemetry: Telemetry, on_tick: OnTick | None) -> None:
        """Write down a tick, and tell of it."""
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
    """For each tick of the scenario, that of every emitter."""
    rows = [ticks(scenario.profile(plan), scenario.tick_sec, plan.options.seed) for plan in scenario.emitters]
    return (list(row) for row in zip(*rows, strict=True))


def _nowhere(_: bytes) -> None:
    return
