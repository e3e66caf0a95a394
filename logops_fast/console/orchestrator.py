"""Runs scenarios: one at a time, on an event loop in a thread of its own, so that no page delays a batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logops_fast.console.history import Runs
from logops_fast.console.profile import curve
from logops_fast.console.run_state import RunState
from logops_fast.emitters.runner import Progress, missed, run
from logops_fast.emitters.scenario import Scenario
from logops_fast.emitters.target import Target
from logops_fast.emitters.totals import Totals
from logops_fast.errors import OperatorError

STOP_SECONDS: Final = 15.0
"""Seconds that :meth:`Orchestrator.aclose` waits for the end of a run: the answers of its last tick, at most."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Orchestrator:
    """Starts and stops runs, and holds the state of the latest. Belongs to the loop it is used on.

    ``target`` reads where to send and with which keys, anew for each run; nothing of it leaves this object.
    """

    def __init__(
        self, target: Callable[[], Target], runs: Runs, loop_factory: LoopFactory, *, own_emitter: bool = False
    ) -> None:
        self.state = RunState()
        self.runs: Final = runs
        self._target = target
        self._loop_factory = loop_factory
        self._own_emitter = own_emitter
        self._task: asyncio.Task[None] | None = None
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def start(self, scenario: Scenario, seed: int | None) -> None:
        """Start a run. Raises RunError if there is one, OperatorError or OSError if it cannot start."""
        begun = self.state.begin(scenario, curve(scenario), "")
        target = self._target()
        path = self.runs.new(scenario.name, time.time())
        begun.record = path.name
        self.state = begun
        self._task = asyncio.get_running_loop().create_task(self._carry_out(scenario, target, seed, path))

    def stop(self) -> None:
        """End the run after its current tick. Raises RunError if there is none."""
        self.state.ask_stop()
        self._ask_thread()

    async def aclose(self) -> None:
        """Stop what runs, and wait for its end and its telemetry."""
        if self._task is None or self._task.done():
            return
        self.stop()
        await asyncio.wait([self._task], timeout=STOP_SECONDS)

    async def _carry_out(self, scenario: Scenario, target: Target, seed: int | None, path: Path) -> None:
        loop = asyncio.get_running_loop()
        state = self.state

        def on_tick(progress: Progress) -> None:
            loop.call_soon_threadsafe(state.tick, progress)

        async def main() -> Totals:
            self._stop = asyncio.Event()
            self._thread_loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(self._ask_thread_if_stopping)
            return await run(
                scenario,
                target,
                seed=seed,
                on_tick=on_tick,
                telemetry_path=path,
                stop=self._stop,
                own_emitter=self._own_emitter,
            )

        def in_thread() -> Totals:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                return runner.run(main())

        try:
            totals = await asyncio.to_thread(in_thread)
        except (OperatorError, OSError) as error:
            state.fail(str(error))
        except Exception as error:  # an emitter script may raise anything, and the page has to say so
            state.fail(f"{type(error).__name__}: {error}")
            raise
        else:
            state.end(totals, missed(scenario, totals))
        finally:
            self._thread_loop = self._stop = None

    def _ask_thread_if_stopping(self) -> None:
        """A stop that was asked for before the thread had a loop."""
        if self.state.phase.value == "stopping":
            self._ask_thread()

    def _ask_thread(self) -> None:
        loop, stop = self._thread_loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
