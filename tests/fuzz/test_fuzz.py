"""Every target for a few seconds (``LOGOPS_FUZZ_SECONDS``), from a seed that can be changed (``LOGOPS_FUZZ_SEED``)."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.engine import fuzz, shrink
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("LOGOPS_FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("LOGOPS_FUZZ_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str) -> None:
    target = TARGETS[name]
    outcome = fuzz(target, SECONDS, SEED)
    if outcome.data is not None:
        pytest.fail(f"{name} is broken by {shrink(target, outcome.data)!r}: {outcome.error!r}")
    assert outcome.runs > len(target.seeds)
