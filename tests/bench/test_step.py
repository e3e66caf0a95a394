"""A step's verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import machine
from tests.bench.samples import SLO, made_up
from tests.support.tables import each_of


def test_a_step_that_took_everything_in_time_meets_the_slo() -> None:
    assert made_up(1000.0).faults(SLO) == []


@each_of(
    ("changes", "fault"),
    [
        ({"p95": 0.5}, "p95 500 ms"),
        ({"p95_gateway": 0.6}, "gateway's p95 600 ms"),
        ({"share_fast": 0.98}, "98.0% under 0.5 s"),
        ({"achieved_eps": 900.0}, "90.0% in time"),
        ({"refused": {"429 rate_limited": 3}}, "3 x 429 rate_limited"),
        ({"unanswered": 2}, "2 unanswered"),
        ({"events_stored": 2999}, "-1 lines in the files"),
        ({"events_stored": 3001}, "+1 lines in the files"),
    ],
)
def test_each_way_to_miss_the_slo_is_named(changes: dict[str, Any], fault: str) -> None:
    assert made_up(1000.0, **changes).faults(SLO) == [fault]


def test_a_step_without_figures_of_the_gateway_is_judged_by_the_client_alone() -> None:
    step = made_up(1000.0, events_stored=None, p95_gateway=None, cpu_seconds=None, rss_mib=None)
    assert step.faults(SLO) == []
    assert step.us_per_event is None
    assert step.core_share is None


def test_what_the_kernel_works_for_the_disk_is_a_part_of_what_all_cores_did() -> None:
    if not Path("/proc/stat").exists():
        pytest.skip("only Linux reports it")
    kernel = machine.kernel_work()
    assert 0.0 <= kernel < machine.busy_time()  # 0 in a container, which does not see the kernel's threads
    assert machine.kernel_work() >= kernel
