"""Tables, ratios and the picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from tests.bench.samples import SLO, made_up, results
from tests.support.tables import each_of


def test_the_table_shows_each_step_its_verdict_and_the_machine() -> None:
    text = report.markdown(results())
    rows = [line for line in text.splitlines() if line.startswith("| ") and "offered" not in line]
    assert len(rows) == 5
    assert rows[0].endswith("| ok |")
    assert rows[3].endswith("| **knee** |")
    assert rows[4].endswith("s; 50.0% under 0.5 s; 83.3% in time |")
    assert "Some CPU, 2 cores, Linux 6.1, CPython 3.11.9, interpreted; uvloop 0.23.0; commit abc1234567" in text
    assert "2026-01-02 03:04 UTC" in text
    assert "p95 under 0.5 s and 99% of batches under 0.5 s" in text


def test_compare_gives_ratios_of_equal_steps() -> None:
    after = results(capacity=300_000.0, commit="def")
    text = report.compare(results(), after)
    assert "| knee, EPS | 250,000 | 300,000 | 1.20 |" in text
    assert "| at 50,000: us CPU/event | 4.00 | 4.00 | 1.00 |" in text
    assert "NOT COMPARABLE" not in text


def test_compare_says_when_the_machines_differ() -> None:
    after = results()
    after["machine"]["cpu"] = "Another CPU"
    assert "NOT COMPARABLE: cpu differs." in report.compare(results(), after)


def test_a_sweep_without_a_knee_says_so() -> None:
    found = results()
    found |= {"knee_eps": 0.0, "half_knee": None}
    assert "Knee: **none, the first step failed**" in report.markdown(found)


@each_of(("seconds", "text"), [(None, "-"), (0.00123, "1.23"), (0.0123, "12.3"), (0.123, "123"), (1.5, "1,500")])
def test_milliseconds_have_three_digits(seconds: float | None, text: str) -> None:
    assert report.ms(seconds) == text


def test_the_line_of_a_step_ends_with_its_verdict() -> None:
    assert report.line(made_up(1000.0), SLO).endswith(" ok")
    assert report.line(made_up(1000.0, unanswered=1), SLO).endswith(" 1 unanswered")


@pytest.mark.process  # where matplotlib has no cache of fonts yet it starts fc-list
@pytest.mark.slow
def test_the_picture_is_a_small_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench import plot

    path = tmp_path / "sweep.png"
    plot.draw(results(), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 200_000
