from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.config.slo import load_slo
from logops_fast.emitters import report
from logops_fast.emitters.record import read
from logops_fast.emitters.report_png import png
from logops_fast.emitters.scenario import Scenario, parse
from logops_fast.emitters.schedule import Tick
from logops_fast.emitters.telemetry import Telemetry
from logops_fast.emitters.totals import Count, Latency, Totals

PLAN = "name: made-up\nduration_sec: 3\nemitters: [{name: json, eps: 100}, {name: csv, eps: 50}]"


@pytest.fixture
def telemetry(tmp_path: Path) -> Path:
    """Three ticks of two emitters: csv is refused in the second, nothing is answered in the third."""
    path = tmp_path / "run.jsonl"
    scenario: Scenario = parse(PLAN)
    with path.open("wb") as out:
        writer = Telemetry(out.write, scenario, 1e9)
        writer.start(7)
        totals = Totals(seconds=3.0, latency=Latency(0.01, 0.7, 0.9))
        for number in range(3):
            for name, eps in (("json", 100), ("csv", 50)):
                done = Totals(sent=Count(eps, 1))
                if number == 1 and name == "csv":
                    done.refuse("429 rate_limited", eps)
                elif number < 2:
                    done.accepted = Count(eps, 1)
                    done.latency = Latency(0.01 * (number + 1), 0.02 if name == "json" else 0.04, 0.05)
                else:
                    done.refuse("no_answer", eps)
                writer.tick(name, Tick(number, float(number), number + 1.0, eps, eps, 1.0, eps), done)
                totals.add(done)
        totals.emitters = {"json": Totals(), "csv": Totals()}
        writer.end(totals, ["csv <lost> some"])
    return path


def test_emitters_are_put_together_tick_by_tick(telemetry: Path) -> None:
    record = read(telemetry)
    assert [step.target for step in record.steps] == [150, 150, 150]
    assert [step.accepted for step in record.steps] == [150, 100, 0]
    assert record.steps[0].latency == {"p50": 0.01, "p95": 0.04, "p99": 0.05}
    assert record.steps[2].latency == {}
    assert record.reasons == ["no_answer", "429 rate_limited"]
    assert record.slo == load_slo()


def test_the_text_names_numbers_reasons_and_the_slo(telemetry: Path) -> None:
    said = report.text(read(telemetry))
    for part in (
        "sent 450",
        "accepted 250",
        "lost 200",
        "429 rate_limited: 50",
        "p95 700.0 ms is over the SLO of 500.0 ms",
    ):
        assert part in said


def test_a_run_that_was_cut_off_is_read_as_far_as_it_goes(telemetry: Path) -> None:
    lines = telemetry.read_bytes().splitlines(keepends=True)
    telemetry.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    record = read(telemetry)
    assert len(record.steps) == 2
    assert "cut off" in report.text(record)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no run"),
        ("{}\nnot json\n", "expected the telemetry"),
        ('{"event":"tick"}\n{}\n', "expected the telemetry"),
    ],
)
def test_what_is_no_telemetry_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read(path)


def test_without_matplotlib_a_sentence_says_how_to_get_it(telemetry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'logops-fast\[report\]'"):
        png(read(telemetry))


@pytest.mark.interpreted
def test_the_page_needs_nothing_and_loads_nothing(telemetry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = report.html(read(telemetry))
    assert page.count("<svg") == page.count("<title id=") == page.count("<desc id=") == 3
    assert "csv &lt;lost&gt; some" in page
    for outside in ("<script", "src=", "@import", "<link", "url(", "http-equiv"):
        assert outside not in page


def test_the_page_is_well_formed_and_its_ids_are_unique(telemetry: Path) -> None:
    record = read(telemetry)
    for page in (report.html(record), report.html_of_two(record, record)):
        found = re.findall(r'\bid="([^"]+)"', page)
        assert len(found) == len(set(found)) >= 6
        for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
            ElementTree.fromstring(drawing)


def test_two_runs_are_compared_number_by_number(telemetry: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    rows = [orjson.loads(line) for line in telemetry.read_bytes().splitlines()]
    rows[-1]["totals"] |= {"accepted": 500, "refused": {}, "lost": 0}
    other.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    compared = {name: rest for name, *rest in report.compare(read(telemetry), read(other))}
    assert compared["accepted"] == ["250", "500", "+100.0%"]
    assert compared["lost"] == ["200", "0", "-100.0%"]
    assert compared["p95"] == ["700.0 ms", "700.0 ms", "same"]
    assert compared["429 rate_limited"] == ["50", "0", "-100.0%"]
    page = report.html_of_two(read(telemetry), read(other))
    assert "A accepted" in page
    assert "<td>+100.0%</td>" in page


def test_a_run_that_was_cut_off_can_be_compared(telemetry: Path) -> None:
    whole = read(telemetry)
    telemetry.write_bytes(b"".join(telemetry.read_bytes().splitlines(keepends=True)[:5]))
    cut = read(telemetry)
    assert ("sent", "450", "-", "") in report.compare(whole, cut)
    assert "cut off" in report.html_of_two(whole, cut)


@pytest.mark.process  # where matplotlib has no cache of fonts yet it starts fc-list
@pytest.mark.slow
def test_pictures_of_one_run_and_of_two(telemetry: Path) -> None:
    pytest.importorskip("matplotlib")
    record = read(telemetry)
    assert png(record).startswith(b"\x89PNG")
    assert png(record, record).startswith(b"\x89PNG")
