from __future__ import annotations

from logops_fast.http.refusal import Refusal
from logops_fast.runtime.probes import Readiness
from logops_fast.telemetry.registry import Registry
from logops_fast.telemetry.slab import Slab

FULL = Refusal(503, "sink_failed", "No space left on device.", 1)


def test_a_worker_that_noticed_nothing_says_what_another_has_told() -> None:
    slab = Slab(2)
    state: dict[str, Refusal | None] = {"sink": None}
    first = Readiness(Registry(slab, 0), [lambda: None, lambda: state["sink"]])
    second = Readiness(Registry(slab, 1), [lambda: None])
    assert first.refusal() is None
    assert second.refusal() is None
    state["sink"] = FULL
    assert first.update() == FULL
    heard = second.refusal()
    assert heard is not None
    assert (heard.status, heard.reason) == (503, "sink_failed")
    assert first.refusal() == FULL, "the worker's own reason comes with its own sentence"
    state["sink"] = None
    first.update()
    assert second.refusal() is None


def test_the_first_check_that_is_not_passed_is_the_answer_and_all_are_told() -> None:
    registry = Registry()
    draining = Refusal(503, "draining", "Stopping.", 1)
    readiness = Readiness(registry, [lambda: draining, lambda: FULL])
    assert readiness.refusal() == draining
    assert registry.sums("logops_unready") == {("draining",): (1.0,), ("sink_failed",): (1.0,)}
