from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import load, machine, matrix, matrix_report, request_path
from bench.cells import BODY_BYTES, BUILDS, Cell, Group, groups
from logops_fast.config.slo import load_slo
from tests.bench.samples import made_up, results

CELLS = [(group, cell) for group in groups() for cell in group.cells]
INTERPRETED = Group("targets", "One", (Cell("interpreted"),))


def run_of(cpu_eps: float, **changes: Any) -> dict[str, Any]:
    """A closed-loop run that takes so many events a CPU second."""
    step = made_up(1000.0, cpu_seconds=3000 / cpu_eps, **changes)
    return step.to_json() | {"body_bytes": 21_000}


def test_each_cell_of_a_group_has_a_name_of_its_own() -> None:
    for group in groups():
        names = [cell.name for cell in group.cells]
        assert len(set(names)) == len(names)
    assert {cell.build for _, cell in CELLS} == set(BUILDS)


def test_every_target_is_a_cell() -> None:
    for target in matrix_report.TARGETS:
        assert (target.group, target.cell) in [(group.key, cell) for group, cell in CELLS]


@pytest.mark.parametrize("events", [200, 20_000])
def test_events_of_another_size_make_bodies_of_the_same_size(events: int) -> None:
    cell = Cell("native", size=BODY_BYTES // events, event_bytes=events)
    bodies = matrix.bodies_of(cell)
    assert len({body.digest for body in bodies}) == len(bodies) > 1
    assert all(body.events == cell.size for body in bodies)
    for body in bodies[:2]:
        texts = [event.get("msg") or event["message"] for event in json.loads(body.data)]
        assert {len(text) for text in texts} == {events}


def test_what_is_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round measures a cell once, and a second command goes on where the first was stopped."""
    asked: list[str] = []

    def measured(cell: Cell, slo: Any, args: Any) -> dict[str, Any]:
        asked.append(cell.name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return run_of(100_000.0)

    cells = (Cell("interpreted"), Cell("interpreted", "field"))
    monkeypatch.setattr(matrix, "groups", lambda: (Group("builds", "Two", cells),))
    monkeypatch.setattr(matrix, "run_cell", measured)
    monkeypatch.setattr(machine, "facts", lambda folder: results()["machine"])
    words = ["--rounds", "2", "--out", str(tmp_path / "matrix"), "--dir", str(tmp_path)]
    assert matrix.main(words) == 0
    assert matrix.main(words) == 0
    assert asked == [cells[0].name, cells[1].name, cells[0].name, cells[0].name, cells[1].name]
    found = json.loads((tmp_path / "matrix.json").read_text())["groups"]["builds"]
    assert [len(found[cell.name]) for cell in cells] == [2, 2]
    assert matrix.main([*words, "--minutes", "0", "--rounds", "3"]) == 0
    assert len(asked) == 5


def test_two_commits_do_not_share_a_file(tmp_path: Path) -> None:
    facts = results()["machine"]
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps({"kind": "matrix", "groups": {}, "machine": facts}))
    matrix.Matrix(path).check(facts)
    with pytest.raises(SystemExit, match="commit"):
        matrix.Matrix(path).check(facts | {"commit": "another"})


@pytest.mark.parametrize(("eps", "verdict"), [(650_000.0, "missed"), (800_000.0, "met"), (1_200_000.0, "goal")])
def test_the_table_judges_the_median(eps: float, verdict: str) -> None:
    cell = Cell("native")
    runs = [run_of(eps / 2), run_of(eps), run_of(eps * 2)]
    found = {"groups": {"targets": {cell.name: runs}}, "machine": results()["machine"]}
    text = matrix_report.markdown(found, groups())
    (row,) = [line for line in text.splitlines() if line.startswith("| events for each CPU second")]
    assert f"**{eps:,.0f} ({eps / 2:,.0f} to {eps * 2:,.0f}, 3)**" in row
    assert row.endswith(f"| {verdict} |")


def test_a_run_that_lost_a_line_does_not_count() -> None:
    cell = Cell("native")
    lost = run_of(900_000.0, events_stored=2999)
    assert matrix_report.value_of(cell, [lost, run_of(100_000.0)]) == [pytest.approx(100_000.0)]
    assert "-1 lines in the files" in matrix_report.line(lost)


def test_a_knee_is_shown_with_the_latency_at_half_of_it() -> None:
    cell = Cell("native", knee=True)
    half = made_up(300_000.0, p95=0.001, p99=0.004).to_json()
    found = {"groups": {"knee": {cell.name: [{"knee_eps": 600_000.0, "half_knee": half}]}}}
    text = matrix_report.markdown(found, groups())
    assert "**1.00 / 4.00 ms** | met |" in text
    assert f"| {cell.name} | 600,000 (1) | 1.00 | 4.00 |" in text


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
def test_a_cell_measures_and_stores_all_it_sends(tmp_path: Path) -> None:
    cell = Cell("interpreted", size=10)
    args = matrix.arguments(["--seconds", "0.3", "--dir", str(tmp_path)])
    found = matrix.run_cell(cell, load_slo(), args)
    done = matrix_report.step_of(found)
    assert matrix_report.wrong(done) == []
    assert done.events_accepted > 0
    assert found["body_bytes"] > 1000


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize("size", [1, 100])
def test_the_path_of_a_request_answers_all_of_them(size: int) -> None:
    assert all(used > 0 for used in request_path.measure(size, "mixed", 64, 1))


def test_a_refused_request_ends_the_measurement(tmp_path: Path) -> None:
    """No figure is made of refusals."""
    import asyncio

    async def serve() -> None:
        gateway = request_path.Gateway(tmp_path, 1)
        body = load.Body.of(b"[]", 1)
        head, _ = next(load.signed_requests(load.Plan(8081, [body])))
        await gateway.serve([head + body.data])

    with pytest.raises(SystemExit, match="422"):
        asyncio.run(serve())
