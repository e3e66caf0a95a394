"""Every target for a fixed number of inputs; for LOGOPS_FUZZ_SECONDS each, from LOGOPS_FUZZ_SEED, in `make long`."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.engine import Outcome, fuzz, shrink
from tests.fuzz.targets import TARGETS

INPUTS = 1500
SECONDS = float(os.environ.get("LOGOPS_FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("LOGOPS_FUZZ_SEED", "1"))


def judge(name: str, outcome: Outcome) -> None:
    if outcome.data is not None:
        pytest.fail(f"{name} is broken by {shrink(TARGETS[name], outcome.data)!r}: {outcome.error!r}")


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str) -> None:
    outcome = fuzz(TARGETS[name], SEED, inputs=INPUTS)
    judge(name, outcome)
    assert outcome.runs == len(TARGETS[name].seeds) + INPUTS


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise_for_minutes(name: str) -> None:
    outcome = fuzz(TARGETS[name], SEED, seconds=SECONDS)
    judge(name, outcome)
    print(f"\n{name}: {outcome.runs} inputs, seed {SEED}")
