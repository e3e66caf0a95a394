from __future__ import annotations

from logops_fast.runtime.heartbeat import Board
from logops_fast.runtime.places import Place
from logops_fast.runtime.reloading import PATIENCE, Reloading


def two() -> tuple[list[Place], Board, Reloading]:
    places = [Place(0, pid=10), Place(1, pid=11)]
    board = Board(2)
    return places, board, Reloading(places, board)


def test_a_reload_ends_once_every_worker_has_finished_its_own() -> None:
    _, board, reloading = two()
    assert not reloading.ended(0.0)
    board.count_reload(0)  # of an earlier one
    reloading.begin(1.0)
    assert not reloading.ended(1.5)
    board.count_reload(0)
    assert not reloading.ended(2.0)
    board.count_reload(1)
    assert reloading.ended(2.5)
    assert not reloading.ended(3.0)  # said once


def test_a_worker_that_ends_or_hangs_is_not_waited_for() -> None:
    places, board, reloading = two()
    reloading.begin(0.0)
    board.count_reload(0)
    places[1].pid = 12  # its successor, which has not been asked
    assert reloading.ended(0.5)
    reloading.begin(1.0)
    board.count_reload(0)
    assert not reloading.ended(1.0 + PATIENCE - 0.1)
    assert reloading.ended(1.0 + PATIENCE)


def test_a_second_reload_is_waited_for_as_a_whole() -> None:
    _, board, reloading = two()
    reloading.begin(0.0)
    board.count_reload(0)
    reloading.begin(0.1)
    board.count_reload(1)
    assert not reloading.ended(0.2)
    board.count_reload(0)
    assert reloading.ended(0.3)
