"""The slope of a soak, and a soak of a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import soak
from tests.support.tables import each_of


@each_of(
    ("samples", "expected"),
    [
        ([], 0.0),
        ([(0.0, 50.0)], 0.0),
        ([(0.0, 50.0), (1.0, 50.0), (2.0, 50.0)], 0.0),
        ([(0.0, 50.0), (60.0, 51.0), (120.0, 52.0)], 60.0),
        ([(0.0, 52.0), (60.0, 51.0), (120.0, 50.0)], -60.0),
    ],
)
def test_the_slope_is_in_mebibytes_an_hour(samples: list[tuple[float, float]], expected: float) -> None:
    assert soak.slope(samples) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
def test_a_short_soak_loses_nothing_and_watches_memory(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    words = ["--eps", "500", "--seconds", "1.5", "--settle", "0", "--batch-size", "10", "--out", str(out)]
    assert soak.main([*words, "--dir", str(tmp_path)]) in (0, 1)
    found = json.loads(out.read_text())
    assert found["step"]["events_stored"] == found["step"]["events_accepted"] == 750
    assert found["rss_mib"]
    assert found["rss_mib_most"] > 1
