from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.console.history import Runs
from logops_fast.emitters.scenario import parse
from logops_fast.emitters.telemetry import Telemetry
from logops_fast.emitters.totals import Count, Totals


def write(
    path: Path, start_at: float, *, unmet: list[str] | None = None, ended: bool = True, dry: bool = False
) -> None:
    scenario = parse("{name: made-up, duration_sec: 3, emitters: [{name: json, eps: 1}]}")
    with path.open("wb") as out:
        telemetry = Telemetry(out.write, scenario, start_at)
        telemetry.start(1, dry_run=dry)
        if ended:
            telemetry.end(Totals(sent=Count(3, 1), accepted=Count(3, 1), seconds=2.5), unmet or [])


def test_runs_are_listed_newest_first_with_their_outcome(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1e9)
    write(tmp_path / "b.jsonl", 1e9 + 100, unmet=["csv lost 1"])
    write(tmp_path / "c.jsonl", 1e9 + 50, ended=False)
    write(tmp_path / "dry.jsonl", 1e9 + 70, dry=True)
    (tmp_path / "other.jsonl").write_text("{}\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.txt").touch()
    found = Runs(tmp_path).listed()
    assert [(run.file, run.outcome, run.seconds) for run in found] == [
        ("b.jsonl", "not as expected", 2.5),
        ("c.jsonl", "cut off", 3.0),
        ("a.jsonl", "as expected", 2.5),
    ]
    assert found[0].totals["accepted"] == 3


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert Runs(tmp_path / "none").listed() == []


def test_a_killed_run_with_half_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, 1e9)
    path.write_bytes(path.read_bytes()[:-20])
    assert [run.outcome for run in Runs(tmp_path).listed()] == ["cut off"]


def test_new_names_are_of_the_scenario_and_never_twice(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs")
    names = []
    for _ in range(3):
        path = runs.new("spike", 1e9)
        path.touch()
        names.append(path.name)
    assert names == [f"spike-20010909T014640Z{extra}.jsonl" for extra in ("", "-2", "-3")]


@pytest.mark.parametrize(
    "file",
    [
        "../keys.yaml",
        "..",
        "/etc/passwd",
        "a/b.jsonl",
        "x.jsonl/..",
        ".jsonl",
        "none.jsonl",
        "a.jsonl\n",
        "a\0.jsonl",
        "",
    ],
)
def test_no_other_file_is_reached_by_a_name(tmp_path: Path, file: str) -> None:
    (tmp_path / "keys.yaml").write_text("clients: {}")
    (tmp_path / "runs").mkdir()
    with pytest.raises(ConfigError, match="there is no run"):
        Runs(tmp_path / "runs").path(file)
