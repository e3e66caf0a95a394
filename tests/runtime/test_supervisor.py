from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from logops_fast.runtime.places import BACKOFF_MAX, Backoff
from logops_fast.runtime.supervisor import SAME_SIGNAL_WITHIN
from tests.runtime.conftest import Supervised

Start = Callable[..., Supervised]


def test_the_back_off_doubles_up_to_its_limit_and_begins_again_after_a_long_life() -> None:
    backoff = Backoff()
    assert [backoff.after(0.0) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, BACKOFF_MAX, BACKOFF_MAX]
    assert [backoff.after(30.0), backoff.after(29.9)] == [0.1, 0.2]


def test_sigterm_drains_every_worker_and_exits_0(supervised: Start) -> None:
    process = supervised(2)
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert sorted(event for event in process.events if event[0] == "drained") == [["drained", "0"], ["drained", "1"]]
    assert len(process.log("ready")) == 1
    assert process.log("ready")[0]["workers"] == 2
    assert [line["exit_code"] for line in process.log("drained")] == [0]


def test_one_worker_takes_the_same_path(supervised: Start) -> None:
    process = supervised(1)
    ((supervisor,),) = process.wait_for("ready")
    assert process.events[0][2] != supervisor
    process.signal(signal.SIGINT)
    assert process.exit_code() == 0
    assert "worker" not in process.log("draining")[0]


def test_what_becomes_ready_while_all_drain_is_not_announced(supervised: Start) -> None:
    """What announces it, the admin listener for example, is closed already."""
    process = supervised(2, "slow-start")
    process.wait_for("starting", 2)
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert sorted(event for event, *_ in process.events if event in {"ready", "started"}) == ["started", "started"]


def test_ctrl_c_reaching_the_whole_group_drains_once(supervised: Start) -> None:
    process = supervised(2)
    process.wait_for("ready")
    os.killpg(process.pid, signal.SIGINT)
    process.signal(signal.SIGINT)
    assert process.exit_code() == 0
    assert sum(event[0] == "drain" for event in process.events) == 2
    assert sum(event[0] == "drained" for event in process.events) == 2


def test_a_stop_that_arrives_twice_at_once_is_one_stop(supervised: Start) -> None:
    process = supervised(1)
    process.wait_for("ready")
    process.signal(signal.SIGSTOP)
    process.signal(signal.SIGINT)
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGCONT)
    assert process.exit_code() == 0
    assert ["drained", "0"] in process.events


def test_what_a_dead_worker_had_in_flight_is_gone_even_while_it_has_no_successor(supervised: Start) -> None:
    process = supervised(2, "dies-again")
    process.wait_for("ready")
    pids = {event[1]: int(event[2]) for event in process.events if event[0] == "started"}
    process.signal(signal.SIGKILL, pids["0"])
    process.wait_for_log("worker 0 exited with 1")
    process.signal(signal.SIGTERM)
    process.exit_code()
    assert ["inflight", "1.0"] in process.events


def test_a_killed_worker_is_started_again_and_its_counts_are_kept(supervised: Start) -> None:
    process = supervised(2)
    process.wait_for("ready")
    pids = {event[1]: int(event[2]) for event in process.events if event[0] == "started"}
    process.signal(signal.SIGKILL, pids["1"])
    ((index, pid),) = process.wait_for("started")
    assert index == "1"
    assert int(pid) != pids["1"]
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert {event[1] for event in process.events if event[0] == "hits"} == {"3.0"}
    assert {event[1] for event in process.events if event[0] == "restarts"} == {"1.0"}
    (line,) = process.log("was ended by SIGKILL")
    assert line["msg"] == "worker 1 was ended by SIGKILL: restarting it"


def test_a_worker_that_is_stopped_alone_drains_and_is_replaced(supervised: Start) -> None:
    process = supervised(1)
    process.wait_for("ready")
    process.signal(signal.SIGTERM, int(process.events[0][2]))
    process.wait_for("drained")
    process.wait_for("started")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


def test_sighup_reaches_every_worker_and_a_failed_reload_changes_nothing(supervised: Start) -> None:
    process = supervised(2, "reload-bug")
    process.wait_for("ready")
    process.signal(signal.SIGHUP)
    assert sorted(process.wait_for("reload", 2)) == [["0"], ["1"]]
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert len(process.log("the reload failed")) == 2


def test_workers_leave_when_their_supervisor_is_killed(supervised: Start) -> None:
    process = supervised(2)
    process.wait_for("ready")
    process.signal(signal.SIGKILL)
    process.wait_for("drained", 2)
    assert process.exit_code() == -signal.SIGKILL
    assert len(process.log("the supervisor is gone")) == 2


def test_a_start_up_error_stops_the_whole_with_2_and_is_said_once(supervised: Start) -> None:
    process = supervised(3, "start-error")
    assert process.exit_code() == 2
    assert [line["msg"] for line in process.log("")] == ["port 1 is in use"]


def test_a_start_up_error_of_a_worker_that_once_served_does_not_stop_the_others(supervised: Start) -> None:
    process = supervised(2, "start-error-again")
    process.wait_for("ready")
    pids = {event[1]: int(event[2]) for event in process.events if event[0] == "started"}
    process.signal(signal.SIGKILL, pids["0"])
    process.wait_for_log("exited with 2")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert process.log("exited with 2")[0]["reason"] == "keys file is broken"
    assert ["drained", "1"] in process.events


def test_a_bug_at_start_is_logged_and_tried_again(supervised: Start) -> None:
    process = supervised(1, "start-bug")
    process.wait_for_log("exited with 1")
    process.signal(signal.SIGTERM)
    process.exit_code()
    assert "ZeroDivisionError" in process.log("worker 0 failed")[0]["exception"]
    assert process.log("exited with 1")[0]["delay"] == 0.1


def test_a_drain_that_fails_shows_in_the_exit_code(supervised: Start) -> None:
    process = supervised(1, "drain-bug")
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 1
    assert len(process.log("the drain failed")) == 1
    assert process.log("stopped")[0]["exit_code"] == 1


@pytest.mark.slow
def test_a_drain_longer_than_its_timeout_is_cut_by_the_worker(supervised: Start) -> None:
    process = supervised(1, "slow-drain")
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 1
    assert len(process.log("not drained in time")) == 1


@pytest.mark.slow
def test_a_worker_that_is_stuck_is_killed_after_the_drain_timeout(supervised: Start) -> None:
    process = supervised(1, "stuck-drain")
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 1
    assert process.log("killing workers: not drained in time")[0]["workers"] == [0]


@pytest.mark.slow
def test_a_second_signal_kills_at_once(supervised: Start) -> None:
    process = supervised(1, "stuck-drain")
    process.wait_for("ready")
    process.signal(signal.SIGTERM)
    process.wait_for("drain")
    time.sleep(SAME_SIGNAL_WITHIN + 0.1)
    process.signal(signal.SIGINT)
    assert process.exit_code() == 128 + signal.SIGINT
    assert len(process.log("killing workers: a second signal to stop")) == 1


@pytest.mark.slow
def test_a_worker_whose_loop_hangs_is_killed_and_replaced_and_its_place_looked_after(supervised: Start) -> None:
    process = supervised(2, "hangs-on-reload")
    process.wait_for("ready")
    process.signal(signal.SIGHUP)
    assert process.wait_for("accepts") == [["1", "0"]]
    process.wait_for_log("worker 0 has not responded for 6 s: killing it")
    ((index, _),) = process.wait_for("started")
    assert index == "0"
    assert process.wait_for("accepts") == [["1"]]
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


@pytest.mark.slow
def test_a_process_that_the_kernel_does_not_end_is_left_behind_and_replaced_under_another_index(
    supervised: Start,
) -> None:
    process = supervised(2, "hangs-on-reload", "unkillable")
    process.wait_for("ready")
    hung = next(int(event[2]) for event in process.events if event[:2] == ["started", "0"])
    process.signal(signal.SIGHUP)
    process.wait_for_log("worker 0 was killed and does not end: replacing it all the same")
    ((index, _),) = process.wait_for("started")
    assert index == "2", "files and locks of the usual number still belong to the old process"
    os.kill(hung, signal.SIGKILL)
    process.wait_for_log("a killed process has ended at last")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert sorted(event[1] for event in process.events if event[0] == "drained") == ["1", "2"]


@pytest.mark.slow
def test_a_worker_that_said_it_waits_for_a_disk_is_not_killed(supervised: Start) -> None:
    process = supervised(2, "hangs-on-reload", "stalled")
    process.wait_for("ready")
    process.signal(signal.SIGHUP)
    assert process.wait_for("accepts") == [["1", "0"]]
    line = process.wait_for_log("worker 0 does not respond")
    assert line["state"] == "sink_stalled"
    # The other worker hangs too, and is killed: by then the first would have been.
    process.signal(signal.SIGSTOP, next(int(event[2]) for event in process.events if event[:2] == ["started", "1"]))
    process.wait_for_log("worker 1 has not responded for 6 s: killing it")
    assert process.log("worker 0 has not responded") == []
