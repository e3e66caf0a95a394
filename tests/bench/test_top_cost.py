"""What `logops top` costs, in a short form: a share of a core, of a screen that was really drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import top_cost
from tests.support.gateway import running


@pytest.mark.bench
def test_the_cost_of_a_screen_is_measured(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        share, lines = top_cost.cost(gateway, 80, 24, seconds=1.0, interval=0.2, settle=2.0)
    assert 0.0 <= share < 2.0
    assert lines > 50
