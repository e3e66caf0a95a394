"""Runs against a port that nothing listens on: every batch is refused, and no process is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.console.history import Runs
from logops_fast.console.orchestrator import Orchestrator
from logops_fast.console.run_state import Phase, RunError
from logops_fast.emitters.scenario import Scenario, parse
from logops_fast.emitters.target import Target
from tests.support.ports import free_port

FAR = 60.0


def scenario(duration: float, **emitter: object) -> Scenario:
    fields = "".join(f", {name}: {value}" for name, value in ({"kind": "json"} | emitter).items())
    return parse(f"{{name: s, duration_sec: {duration}, tick_sec: 0.1, emitters: [{{name: web, eps: 50{fields}}}]}}")


def target() -> Target:
    return Target(f"http://127.0.0.1:{free_port()}/ingest", "web-1", b"a-secret")


def run(
    use: Callable[[Orchestrator], Awaitable[None]], folder: Path, to: Callable[[], Target] = target
) -> Orchestrator:
    async def main() -> Orchestrator:
        orchestrator = Orchestrator(to, Runs(folder / "runs"), asyncio.new_event_loop)
        await use(orchestrator)
        return orchestrator

    return asyncio.run(main())


async def over(orchestrator: Orchestrator) -> None:
    async with asyncio.timeout(FAR):
        while orchestrator.state.active:  # noqa: ASYNC110 - a state, as a page sees it, is no event
            await asyncio.sleep(0.01)


def test_a_run_goes_to_its_end_and_leaves_its_telemetry(tmp_path: Path) -> None:
    async def use(orchestrator: Orchestrator) -> None:
        orchestrator.start(scenario(0.3), 7)
        with pytest.raises(RunError, match="still running"):
            orchestrator.start(scenario(0.3), 7)
        await over(orchestrator)
        await orchestrator.aclose()  # nothing is left to stop

    state = run(use, tmp_path).state
    assert state.phase is Phase.DONE
    assert len(state.points) == 3
    assert state.totals is not None
    assert state.totals.sent.events == 15
    assert "15 events were never answered (connect)" in state.verdict()
    (past,) = Runs(tmp_path / "runs").listed()
    assert (past.file, past.totals["sent"], past.outcome) == (state.record, 15, "not as expected")


@pytest.mark.parametrize("end", ["stop", "aclose"])
def test_a_run_that_is_stopped_at_once_ends_after_its_tick_and_is_recorded(tmp_path: Path, end: str) -> None:
    async def use(orchestrator: Orchestrator) -> None:
        orchestrator.start(scenario(3600), None)
        if end == "stop":
            orchestrator.stop()  # before its thread has an event loop
            orchestrator.stop()
            await over(orchestrator)
        else:
            await orchestrator.aclose()

    orchestrator = run(use, tmp_path)
    assert orchestrator.state.verdict().startswith("Stopped after ")
    assert [one.totals["sent"] > 0 for one in orchestrator.runs.listed()] == [True]


def test_what_cannot_start_leaves_the_last_run_as_it_was(tmp_path: Path) -> None:
    def no_target() -> Target:
        raise ConfigError("keys.yaml is not there")

    async def use(orchestrator: Orchestrator) -> None:
        with pytest.raises(ConfigError, match="not there"):
            orchestrator.start(scenario(1), None)
        with pytest.raises(RunError, match="Nothing is running"):
            orchestrator.stop()

    orchestrator = run(use, tmp_path, no_target)
    assert orchestrator.state.phase is Phase.IDLE
    assert orchestrator.runs.listed() == []


def test_a_script_that_cannot_be_used_fails_the_run_in_words(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("nothing = 1\n")

    async def use(orchestrator: Orchestrator) -> None:
        orchestrator.start(scenario(1, kind="script", script=tmp_path / "own.py"), None)
        await over(orchestrator)

    state = run(use, tmp_path).state
    assert state.phase is Phase.FAILED
    assert state.verdict().startswith("The run failed: ")
    assert "own.py" in state.verdict()
