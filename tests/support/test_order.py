from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.support.order import SECONDS, Group, dealt, groups, recorded

ROOT = Path(__file__).resolve().parents[2]
COSTS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.5, 8.0, 30.0])), max_size=40)


def shares(order: list[int], processes: int) -> list[list[int]]:
    """What each process is given, as xdist cuts a list."""
    found = []
    for left in range(processes, 0, -1):
        found.append(order[: len(order) // left])
        order = order[len(order) // left :]
    return found


@given(COSTS, st.integers(1, 7))
def test_every_test_is_dealt_once(costs: list[tuple[str, float]], processes: int) -> None:
    found = list(groups(*zip(*costs, strict=True))) if costs else []
    assert sorted(dealt(found, processes)) == list(range(len(costs)))


def test_each_process_begins_with_its_long_tests_the_longest_first() -> None:
    seconds = [0.0] * 20 + [2.0, 30.0, 9.0, 8.0, 1.0] + [0.0] * 8
    found = [Group(cost, (at,)) for at, cost in enumerate(seconds)]
    for processes in (1, 2, 3, 4):
        given_out = shares(dealt(found, processes), processes)
        costs = [[seconds[at] for at in share] for share in given_out]
        assert all(share == sorted(share, reverse=True) for share in costs)
        assert max(map(sum, costs)) <= max(30, 50 / processes + 9)


def test_tests_that_share_a_fixture_stay_together() -> None:
    found = list(groups("aabbba", [1.0, 2.0, 0.0, 5.0, 0.0, 4.0]))
    assert found == [Group(3.0, (0, 1)), Group(5.0, (2, 3, 4)), Group(4.0, (5,))]
    assert dealt(found, 1) == [2, 3, 4, 5, 0, 1]


def test_the_slowest_tests_are_tests() -> None:
    names = recorded(SECONDS.read_text("utf-8"))
    assert len(names) > 20
    for name, seconds in names.items():
        path, _, function = name.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
        assert seconds > 0
