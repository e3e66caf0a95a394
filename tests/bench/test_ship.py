from __future__ import annotations

import pytest

from bench.ship import measure


@pytest.mark.bench
def test_lines_are_shipped_and_counted() -> None:
    figures = measure(3000)
    assert figures.lines == 3000
    assert figures.cpu > 0
    assert figures.memory >= figures.late > 0
    assert "3,000 lines" in figures.text()
