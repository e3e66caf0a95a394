"""Faults under load: what was acknowledged is stored exactly once, each line parses, it recovers alone.

A few runs of each by default; ``LOGOPS_FAULT_RUNS=6`` makes the long form, with the long waits.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.harness import Fault, Row, run
from tests.faults.kinds import FAULTS, LONG

pytestmark = [pytest.mark.process, pytest.mark.fault, pytest.mark.slow]

RUNS = int(os.environ.get("LOGOPS_FAULT_RUNS") or 1)


@pytest.mark.timeout(900 if LONG else 600)
@pytest.mark.parametrize("fault", [f for f in FAULTS if LONG or not f.only_long], ids=lambda fault: fault.name)
def test_nothing_acknowledged_is_lost_or_doubled(fault: Fault, tmp_path: Path, rows: list[Row]) -> None:
    row = run(fault, tmp_path, min(RUNS, fault.most))
    rows.append(row)
    assert row.acknowledged > 100
