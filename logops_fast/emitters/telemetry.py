"""The record of a run as JSON lines: ``scenario.start``, a ``tick`` for each emitter and tick, ``scenario.end``.

Times: ``ts`` in epoch seconds, ``t_rel`` in seconds from the start; latencies in seconds. What arrives after the last
tick counts in it, so that the ticks sum up to the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from logops_fast.emitters.scenario import Scenario, as_fields
from logops_fast.emitters.schedule import Tick
from logops_fast.emitters.totals import Totals

START: Final = "scenario.start"
TICK: Final = "tick"
END: Final = "scenario.end"

Write = Callable[[bytes], object]


class Telemetry:
    """Writes the lines of one run through ``write``; ``start_at`` is the epoch second of its start."""

    __slots__ = ("_scenario", "_start_at", "_write")

    def __init__(self, write: Write, scenario: Scenario, start_at: float) -> None:
        self._write = write
        self._scenario = scenario
        self._start_at = start_at

    def start(self, seed: int, *, dry_run: bool = False, url: str = "") -> None:
        """Write the scenario."""
        self._line(START, 0.0, {**as_fields(self._scenario), "seed": seed, "dry_run": dry_run, "url": url})

    def tick(self, emitter: str, tick: Tick, done: Totals) -> None:
        """Write one tick of one emitter."""
        rates = {
            "scenario": self._scenario.name,
            "emitter": emitter,
            "tick": tick.number,
            "tick_sec": round(tick.end - tick.begin, 6),
            "base_eps": round(tick.base_eps, 6),
            "eff_eps": round(tick.eff_eps, 6),
            "jitter_scale": round(tick.jitter_scale, 6),
            "n": tick.n,
        }
        self._line(TICK, tick.begin, {**rates, **done.as_fields()})

    def end(self, totals: Totals, unmet: list[str]) -> None:
        """Write the totals of the run and of each emitter."""
        fields = {
            "name": self._scenario.name,
            "interrupted": totals.interrupted,
            "totals": totals.as_fields(),
            "emitters": {name: one.as_fields() for name, one in totals.emitters.items()},
            "unmet": unmet,
        }
        self._line(END, round(totals.seconds, 6), fields)

    def _line(self, event: str, t_rel: float, fields: Mapping[str, Any]) -> None:
        ts = round(self._start_at + t_rel, 3)
        iso = datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(
            orjson.dumps(
                {"event": event, "ts": ts, "ts_iso": iso, "t_rel": round(t_rel, 6), **fields},
                option=orjson.OPT_APPEND_NEWLINE,
            )
        )
