from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.runtime.heartbeat import SLOT_BYTES, STARTING, Board, WorkerState


@pytest.mark.process
def test_a_child_reports_to_its_parent() -> None:
    board = Board(2)
    pid = os.fork()
    if pid == 0:
        board.beat(1)
        board.beat(1)
        board.set_state(1, WorkerState("sink_failed", "No space left on device."))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (board.beats(0), board.beats(1)) == (0, 2)
    assert board.state(0) == WorkerState(STARTING)
    assert board.state(1) == WorkerState("sink_failed", "No space left on device.")


@pytest.mark.process
def test_a_worker_killed_while_it_writes_leaves_the_last_state_and_its_successor_can_write() -> None:
    board = Board(1)
    board.set_state(0, WorkerState("ready"))
    assert board.state(0).name == "ready"
    pid = os.fork()
    if pid == 0:
        board._words[board._word(0, 2)] += 1  # the sequence number is odd: a state is being written
        board._slots[40:60] = b"?" * 20
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert board.state(0).name == "ready"
    board.set_state(0, WorkerState("draining"))
    assert board.state(0).name == "draining"


@given(st.text(max_size=2000))
def test_any_detail_fits_its_slot_and_spares_the_neighbours(detail: str) -> None:
    board = Board(3)
    board.set_state(1, WorkerState("ready", detail.encode("utf-8", "replace").decode()))
    assert board.state(1).name == "ready"
    assert bytes(board._slots[:SLOT_BYTES]) == bytes(SLOT_BYTES) == bytes(board._slots[2 * SLOT_BYTES :])


def test_places_are_adopted_and_handed_back() -> None:
    board = Board(3)
    assert board.adopter(0) is None
    board.set_adopter(0, 2)
    board.set_adopter(1, 2)
    assert board.adopted_by(2) == frozenset({0, 1})
    assert board.adopted_by(1) == frozenset()
    board.set_adopter(0, None)
    assert board.adopted_by(2) == frozenset({1})


def test_indices_are_taken_and_freed() -> None:
    board = Board(2, 10)
    board.use_index(9, True)
    assert [index for index in range(20) if board.index_used(index)] == [9]
    board.use_index(9, False)
    assert not board.index_used(9)
