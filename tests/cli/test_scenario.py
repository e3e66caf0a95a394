from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logops_fast.cli.main import main
from tests.support.gateway import KEY, SECRET, Gateway, running

REPOSITORY = Path(__file__).resolve().parents[2]

SMALL = """
name: small
duration_sec: 2
tick_sec: 0.5
emitters:
  - {name: web, kind: json, eps: 200, args: {batch_size: 20}, schedule: {jitter_pct: 20}}
  - {name: batch, kind: noise, eps: 40, args: {batch_size: 10}}
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("ENTRYPOINT_URL", "LOGOPS_API_KEY", "LOGOPS_SECRET"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_dry_run_writes_the_same_bytes_for_the_same_seed_and_start(small: Path) -> None:
    for name in ("a", "b"):
        assert (
            main(["scenario", "run", "small.yaml", "--dry-run", "--seed", "1", "--start-at", "0", "--log-file", name])
            == 0
        )
    assert Path("a").read_bytes() == Path("b").read_bytes()
    assert lines(Path("a"))[0]["ts_iso"] == "1970-01-01T00:00:00.000Z"


def test_a_dry_run_now_differs_from_another_in_its_timestamps_only(small: Path) -> None:
    for name in ("a", "b"):
        assert main(["scenario", "run", "small.yaml", "--dry-run", "--seed", "1", "--log-file", name]) == 0
    bare = [
        [{key: value for key, value in row.items() if key not in ("ts", "ts_iso")} for row in lines(Path(name))]
        for name in ("a", "b")
    ]
    assert bare[0] == bare[1]


def test_validating_says_what_it_holds_or_what_is_wrong(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "validate", "small.yaml"]) == 0
    assert "small, 2 s, web, batch, 480 events" in capsys.readouterr().out
    small.write_text(SMALL.replace("eps: 200", "eps: lots"))
    assert main(["scenario", "validate", "small.yaml"]) == 2
    assert 'small.yaml:6: emitters.0.eps: expected a number from 0 to 1e+07, got "lots"' in capsys.readouterr().err


def test_the_library_is_listed_with_what_each_shows(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "list"]) == 0
    said = capsys.readouterr().out
    assert "replay-attack" in said
    assert "an hour at a steady rate" in said


def test_without_a_gateways_keys_a_sentence_says_what_to_do(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "run", "small.yaml"]) == 2
    assert "start `logops up` in this folder" in capsys.readouterr().err


def test_a_missing_folder_is_said_before_anything_is_sent(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "run", "small.yaml", "--dry-run", "--log-file", "no/such/run.jsonl"]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.slow
def test_the_script_of_the_architecture_is_a_door_to_it(small: Path) -> None:
    command = [
        sys.executable,
        str(REPOSITORY / "tools" / "run_scenario.py"),
        "-s",
        "small.yaml",
        "--dry-run",
        "--seed",
        "3",
    ]
    done = subprocess.run([*command, "--start-at", "0"], capture_output=True, check=True, timeout=30)
    main(["scenario", "run", "small.yaml", "--dry-run", "--seed", "3", "--start-at", "0", "--log-file", "mine"])
    assert done.stdout == Path("mine").read_bytes()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("up")) as found:
        yield found


def target(gateway: Gateway) -> list[str]:
    return ["--url", f"http://127.0.0.1:{gateway.auth_port}/ingest", "--key", KEY, "--secret", SECRET]


@pytest.mark.process
@pytest.mark.slow
def test_what_a_scenario_sends_is_what_is_stored(
    small: Path, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seed", "1", "--log-file", "run.jsonl", "--strict", "--json"]
    assert main(["scenario", "run", "small.yaml", *target(gateway), *options]) == 0
    totals = json.loads(capsys.readouterr().out)
    stored = [event for event in gateway.stored() if event["scenario_id"] == "small"]
    assert len(stored) == totals["accepted"]
    assert totals["sent"] == totals["accepted"] + totals["rejected"]
    assert {event["emitter"] for event in stored} == {"web", "batch"}
    assert main(["scenario", "report", "run.jsonl"]) == 0
    assert re.search(r"p95 .* is (within|over) the SLO of 500", capsys.readouterr().out)  # a busy machine is slow


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["json", "csv", "field", "minimal", "noise", "syslog"])
def test_emit_stores_what_it_says(small: Path, gateway: Gateway, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--eps", "100", "--duration", "0.5", "--batch-size", "10", "--scenario-id", f"emit-{kind}"]
    assert main(["emit", kind, *target(gateway), *options, "--seed", "1"]) == 0
    assert "accepted" in capsys.readouterr().out
    assert sum(event["scenario_id"] == f"emit-{kind}" for event in gateway.stored()) in (
        range(45, 51) if kind == "noise" else (50,)
    )


@pytest.mark.process
@pytest.mark.slow
def test_emit_ends_with_1_where_events_were_lost(
    small: Path, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--url", f"http://127.0.0.1:{gateway.auth_port}/ingest", "--key", KEY, "--secret", "wrong-secret"]
    assert main(["emit", "json", *wrong, "--eps", "20", "--duration", "0.2"]) == 1
    said = capsys.readouterr().out
    assert "401 bad_signature: 4 events in 1 batches" in said
    assert "the secret is not the client's" in said


@pytest.mark.process
@pytest.mark.slow
def test_replayed_requests_are_refused_by_the_real_gateway(
    small: Path, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write_text(SMALL.replace("schedule: {jitter_pct: 20}", "attack: {kind: replay, every: 4}"))
    assert main(["scenario", "run", "small.yaml", *target(gateway)]) == 0
    assert "replays refused: 5 with 401 replay" in capsys.readouterr().out


@pytest.mark.process
@pytest.mark.slow
def test_ctrl_c_finishes_the_tick_and_writes_the_end(small: Path, gateway: Gateway) -> None:
    small.write_text(SMALL.replace("duration_sec: 2", "duration_sec: 60"))
    command = [sys.executable, "-m", "logops_fast", "scenario", "run", "small.yaml", "--log-file", "run.jsonl"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([*command, *target(gateway)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (Path("run.jsonl").exists() and "tick" in Path("run.jsonl").read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in out
    assert b"Traceback" not in err
    rows = lines(Path("run.jsonl"))
    assert rows[-1]["event"] == "scenario.end"
    assert rows[-1]["interrupted"]
    assert sum(row["sent"] for row in rows if row["event"] == "tick") == rows[-1]["totals"]["sent"]
