"""The rate of an emitter: pure functions from a profile and a time to events per second.

    eff_eps(t) = eps x window(t) x ramps(t) x bursts(t) x jitter of t's tick

Times are in seconds from the scenario's start. Window, ramps and bursts make a function that is linear between a few
points, so its integral is exact; a tick gets the whole events that the integral has reached since the tick before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Final, NamedTuple

_NEARLY: Final = 1e-9
"""In events: by how much the sum of many ticks may fall short of a whole event by rounding."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """``factor`` times the rate for ``length_sec``, every ``every_sec`` after the emitter's start."""

    every_sec: float
    length_sec: float
    factor: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an emitter sends. Without ``stop_after_sec`` it sends to the end.

    It reaches its rate ``ramp_up_sec`` after the start, and decreases over the last ``ramp_down_sec`` before the stop;
    ramps that overlap meet below the rate. ``jitter_pct``: the rate of each tick differs by at most that many percent.
    """

    start_after_sec: float = 0.0
    stop_after_sec: float | None = None
    ramp_up_sec: float = 0.0
    ramp_down_sec: float = 0.0
    jitter_pct: float = 0.0


ALWAYS: Final = Schedule()


@dataclass(frozen=True, slots=True)
class Profile:
    """An emitter's rate over a whole scenario, without jitter."""

    eps: float
    duration_sec: float
    schedule: Schedule = ALWAYS
    bursts: Bursts | None = None

    @property
    def start(self) -> float:
        """Second at which it begins to send."""
        return self.schedule.start_after_sec

    @property
    def stop(self) -> float:
        """Second at which it stops."""
        stop = self.schedule.stop_after_sec
        return self.duration_sec if stop is None else min(stop, self.duration_sec)

    def base_eps(self, t: float) -> float:
        """Return the rate at ``t``; at a jump, the rate after it."""
        if not self.start <= t < self.stop:
            return 0.0
        return self.eps * self._ramps(t) * self._burst_factor(t)

    def events_between(self, begin: float, end: float) -> float:
        """Return the integral of ``base_eps``: the number of events that are due, including a fraction."""
        begin, end = max(begin, self.start), min(end, self.stop)
        if end <= begin:
            return 0.0
        total = 0.0
        left = begin
        for right in (*sorted(self._bends(begin, end)), end):
            if right > left:
                # linear in between, and the burst is on or off for all of it
                mean = (self._ramps(left) + self._ramps(right)) / 2
                total += (right - left) * self.eps * mean * self._burst_factor((left + right) / 2)
                left = right
        return total

    def edges(self) -> list[float]:
        """Return, in order, where the rate begins, ends, jumps or changes its slope."""
        return [self.start, *sorted(self._bends(self.start, self.stop)), self.stop]

    def _ramps(self, t: float) -> float:
        up, down = self.schedule.ramp_up_sec, self.schedule.ramp_down_sec
        share = 1.0
        if up and t < self.start + up:
            share = (t - self.start) / up
        if down and t > self.stop - down:
            share = min(share, (self.stop - t) / down)
        return max(0.0, share)

    def _burst_factor(self, t: float) -> float:
        bursts = self.bursts
        if bursts is None:
            return 1.0
        number, into = divmod(t - self.start, bursts.every_sec)
        return bursts.factor if number >= 1 and into < bursts.length_sec else 1.0

    def _bends(self, begin: float, end: float) -> Iterator[float]:
        """Return the points between, at which the rate jumps or changes its slope."""
        start, stop = self.start, self.stop
        up, down = self.schedule.ramp_up_sec, self.schedule.ramp_down_sec
        bends = []
        if up:
            bends.append(start + up)
        if down:
            bends.append(stop - down)
        if up and down:
            bends.append((start / up + stop / down) / (1 / up + 1 / down))  # where the two lines cross
        bursts = self.bursts
        if bursts is not None:
            every = bursts.every_sec
            for number in range(max(1, floor((begin - start) / every)), ceil((end - start) / every) + 1):
                bends += [start + number * every, start + number * every + bursts.length_sec]
        return (bend for bend in bends if begin < bend < end)


class Tick(NamedTuple):
    """One step of one emitter: ``n`` events, due evenly from ``begin`` to ``end``."""

    number: int
    begin: float
    end: float
    base_eps: float
    eff_eps: float
    jitter_scale: float
    n: int


def ticks(profile: Profile, tick_sec: float, seed: int | str) -> Iterator[Tick]:
    """Yield every tick of a scenario; the same for the same seed.

    ``base_eps`` and ``eff_eps`` are the means over the tick, without and with jitter. After each tick
    the sum of ``n`` is the integral of ``eff_eps``, rounded down.
    """
    rng = random.Random(f"{seed}/jitter")
    jitter = profile.schedule.jitter_pct / 100.0
    due = 0.0
    given = 0
    for number in range(tick_count(profile.duration_sec, tick_sec)):
        begin = number * tick_sec
        end = min(begin + tick_sec, profile.duration_sec)
        scale = 1.0 + rng.uniform(-jitter, jitter) if jitter else 1.0
        base = profile.events_between(begin, end)
        due += base * scale
        n = floor(due + _NEARLY) - given
        given += n
        yield Tick(number, begin, end, base / (end - begin), base * scale / (end - begin), scale, n)


def tick_count(duration_sec: float, tick_sec: float) -> int:
    """Return the number of ticks of a scenario; the last one may be short."""
    return max(1, ceil(duration_sec / tick_sec - _NEARLY)) if duration_sec != inf else 0


def batches(tick: Tick, batch_size: int) -> list[tuple[float, int]]:
    """Return when each batch of a tick is due, and its number of events: evenly spread, the first at the beginning."""
    count = -(-tick.n // batch_size)
    step = (tick.end - tick.begin) / count if count else 0.0
    return [(tick.begin + number * step, min(batch_size, tick.n - number * batch_size)) for number in range(count)]
