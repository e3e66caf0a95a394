from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from logops_fast.runtime.loop import accelerator, new_event_loop
from logops_fast.runtime.worker import MAX_MESSAGE_BYTES, SWITCH_SECONDS, WorkerContext
from logops_fast.telemetry.slab import Slab
from tests.runtime.conftest import Supervised

Start = Callable[..., Supervised]


def test_a_signal_before_the_worker_has_handlers_is_not_lost(supervised: Start) -> None:
    process = supervised(1, "early-signal")
    process.wait_for("started")
    process.wait_for("drained")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


def test_a_signal_during_start_up_drains_once_the_worker_has_started(supervised: Start) -> None:
    process = supervised(1, "slow-start")
    process.wait_for("starting")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert [event[0] for event in process.events if event[0] in ("started", "drained")] == ["started", "drained"]


def test_a_reload_during_start_up_is_done_afterwards(supervised: Start) -> None:
    process = supervised(1, "slow-start")
    process.wait_for("starting")
    process.signal(signal.SIGHUP)
    process.wait_for("started")
    process.wait_for("reload")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


def test_errors_of_callbacks_are_logged_once_and_stop_nothing(supervised: Start) -> None:
    process = supervised(1, "callback-error")
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    first, rest = [line for line in process.log("") if line["logger"].endswith("worker")]
    assert "ValueError" in first["exception"]
    assert rest["suppressed"] == 4


def test_a_thread_gets_the_interpreters_lock_soon(supervised: Start) -> None:
    """The disk thread needs it several times for each commit."""
    process = supervised(1, "switch-interval")
    assert process.wait_for("switches") == [[str(SWITCH_SECONDS)]]
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert sys.getswitchinterval() > SWITCH_SECONDS, "the default"


def test_lines_of_many_workers_say_whose_they_are(supervised: Start) -> None:
    process = supervised(2, "reload-bug")
    process.wait_for("ready")
    process.signal(signal.SIGHUP)
    process.wait_for("reload", 2)
    process.signal(signal.SIGTERM)
    process.exit_code()
    assert sorted(line["worker"] for line in process.log("the reload failed")) == [0, 1]


def test_what_a_worker_reports_is_short_and_survives_a_supervisor_that_is_gone() -> None:
    read_end, write_end = os.pipe()
    context = WorkerContext(0, 1, Slab(1), write_end, -1)
    context.startup_failed("x" * 10_000)
    assert os.read(read_end, 100_000) == b"E" + b"x" * MAX_MESSAGE_BYTES
    os.close(read_end)
    context.ready()
    os.close(write_end)


def test_the_loop_is_what_the_accelerator_says() -> None:
    loop = new_event_loop()
    try:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        assert type(loop).__module__.split(".")[0] == accelerator()
    finally:
        loop.close()
