"""The sweep: how it finds the knee, and a short real one."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench import eps_sweep, servers, step
from bench.step import Step
from tests.bench.samples import SLO, made_up


def find(monkeypatch: pytest.MonkeyPatch, capacity: float, **ladder: Any) -> tuple[float, list[float]]:
    """The knee of a server that takes so much, and what was offered to it."""
    monkeypatch.setattr(
        step, "measure", lambda *args, eps, seconds, **more: made_up(eps, capacity=capacity, seconds=seconds)
    )
    server = servers.Server("made up", 1)
    sweep = eps_sweep.Sweep(server, eps_sweep.arguments(["--batch-size", "1"]), eps_sweep.Ladder(**ladder), SLO)
    knee = sweep.run()
    return knee, [done.offered_eps or 0.0 for done in sweep.steps]


@pytest.mark.parametrize("capacity", [25_000.0, 77_700.0, 251_300.0])
def test_the_knee_is_found_within_three_percent(monkeypatch: pytest.MonkeyPatch, capacity: float) -> None:
    knee, _ = find(monkeypatch, capacity)
    assert capacity / 1.04 < knee <= capacity * 1.011  # a step must take 99% of what it is offered


def test_the_climb_is_geometric_and_ends_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    knee, offered = find(monkeypatch, 1e9, start=1000.0, factor=2.0, most=9000.0)
    assert offered[::2] == offered[1::2] == [1000.0, 2000.0, 4000.0, 8000.0]
    assert knee == 8000.0


@pytest.mark.parametrize(
    ("capacities", "knee", "tries"),
    [
        ([1500, 1500, 1500, 1500], 1000.0, [1000.0, 1000.0, 2000.0, 2000.0]),
        ([1500, 1500, 9999, 1500, 1500], 1000.0, [1000.0, 1000.0, 2000.0, 2000.0, 2000.0]),
        ([500, 1500, 1500, 1500, 1500], 1000.0, [1000.0, 1000.0, 1000.0, 2000.0, 2000.0]),
    ],
)
def test_a_step_holds_if_two_of_three_tries_do(
    monkeypatch: pytest.MonkeyPatch, capacities: list[float], knee: float, tries: list[float]
) -> None:
    """One lucky try is no knee, and one bad one no end."""
    left = iter(capacities)
    monkeypatch.setattr(
        step, "measure", lambda *args, eps, seconds, **more: made_up(eps, capacity=next(left), seconds=seconds)
    )
    ladder = eps_sweep.Ladder(start=1000.0, factor=2.0, bisections=0)
    sweep = eps_sweep.Sweep(servers.Server("made up", 1), eps_sweep.arguments(["--batch-size", "1"]), ladder, SLO)
    assert sweep.run() == knee
    assert [done.offered_eps for done in sweep.steps] == tries


def test_a_gateway_that_fails_the_first_step_has_no_knee(monkeypatch: pytest.MonkeyPatch) -> None:
    knee, offered = find(monkeypatch, 10.0, start=1000.0)
    assert knee == 0.0
    assert set(offered) == {1000.0}


@pytest.mark.process
@pytest.mark.bench
def test_only_http_targets_are_taken(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="http://HOST:PORT"):
        eps_sweep.sweep(eps_sweep.arguments(["--target", "https://x/", "--dir", str(tmp_path)]), eps_sweep.Ladder())


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
def test_a_gateway_that_runs_already_can_be_the_target(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    words = ["--seconds", "0.3", "--start", "1000", "--max", "1000", "--bisect", "0", "--batch-size", "10"]
    words += ["--patience", "0"]  # a busy machine is no reason to repeat a step
    words += ["--dir", str(tmp_path), "--out", str(out), "--key", "bench", "--secret", "bench-secret"]
    with servers.running(tmp_path / "gateway") as server:
        target = ["--target", f"http://127.0.0.1:{server.port}/ingest", "--pid", str(server.roots[0])]
        assert eps_sweep.main([*words, *target]) in (0, 1)
        stored = server.lines_stored()
    (one, *_) = [Step.of_json(done) for done in json.loads(out.with_suffix(".json").read_text())["steps"]]
    assert one.refused == {}
    assert one.events_stored is None, "files of another machine are out of reach"
    assert 0 < one.events_accepted < stored


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
@pytest.mark.parametrize("mode", ["up", "split"])
def test_a_short_sweep_measures_and_stores_all_it_sends(tmp_path: Path, mode: str) -> None:
    out = tmp_path / "sweep"
    words = ["--mode", mode, "--seconds", "0.3", "--start", "1000", "--factor", "2", "--max", "2000", "--bisect", "0"]
    words += ["--patience", "0", "--batch-size", "10", "--dir", str(tmp_path), "--out", str(out)]
    # No verdict: how much this machine manages is not the point here.
    assert eps_sweep.main(words) in (0, 1)
    results = json.loads(out.with_suffix(".json").read_text())
    steps = [Step.of_json(done) for done in results["steps"]]
    assert {done.offered_eps for done in steps} <= {1000.0, 2000.0}
    for done in steps:
        assert done.refused == {}
        assert done.events_stored == done.events_accepted > 0
        assert done.cpu_seconds is not None
        assert done.p95_gateway is not None
        assert (done.rss_mib or 0) > 1
        assert (done.others or 0) >= 0
        assert all(low <= high for low, high in pairwise((done.p50, done.p95, done.p99, done.p999)))
    assert results["machine"]["cores"] >= 1
    assert set(results["slo"]) == set(SLO._fields)
    assert "| offered EPS |" in out.with_suffix(".md").read_text()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "the scratch folder must be gone"
