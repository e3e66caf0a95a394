from __future__ import annotations

import time
from collections import Counter

import pytest

from bench.fairness import flooding, p99, peak, queued
from tests.support.ports import free_port

MIB = 1 << 20


def test_the_percentile_is_of_what_there_is() -> None:
    assert p99([float(number) for number in range(200)]) == 198.0
    assert p99([1.0]) == 1.0
    assert p99([]) == float("inf"), "a client that nothing was answered is not served well"


def test_a_process_that_waits_for_a_core_is_counted() -> None:
    before = queued("self")
    deadline = time.monotonic() + 0.01
    while time.monotonic() < deadline:
        pass
    assert queued("self") >= before >= 0.0
    assert queued("no-such-process") == 0.0
    assert peak(1) > 0


@pytest.mark.process
def test_senders_run_until_they_are_stopped_and_count_what_became_of_their_requests() -> None:
    answers: Counter[int] = Counter()
    with flooding(free_port(), b"[]", {}, 2, answers):
        pass
    assert set(answers) <= {0}, "nothing listens there: every request is cut"
