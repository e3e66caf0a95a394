from __future__ import annotations

import inspect

import pytest

from tests.support import tables
from tests.support.tables import each_of, sampled


def test_every_row_is_tried_and_those_that_fail_are_named() -> None:
    tried = []

    @each_of(("number", "word"), [(1, "one"), (2, "two"), (3, "three"), (4, "four")], ids=["a", "b", "c", "d"])
    def check(number: int, word: str) -> None:
        tried.append((number, word))
        if number == 4:
            pytest.fail("four")
        assert number % 2, word

    with pytest.raises(ExceptionGroup, match=r"2 of 4 rows of number, word") as caught:
        check()
    assert tried == [(1, "one"), (2, "two"), (3, "three"), (4, "four")]
    assert [error.__notes__ for error in caught.value.exceptions] == [["row: b"], ["row: d"]]


def test_tables_are_multiplied_and_other_arguments_passed_on() -> None:
    seen = []

    @each_of("left", [1, 2])
    @each_of("right", "xy", ids=str.upper)
    def check(left: int, right: str, fixture: str) -> None:
        seen.append(f"{left}{right}{fixture}")

    assert list(inspect.signature(check).parameters) == ["fixture"]
    check(fixture="!")
    assert seen == ["1x!", "1y!", "2x!", "2y!"]


def test_an_empty_table_checks_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows of number"):
        each_of("number", [])


@pytest.mark.parametrize(("everyday", "counts"), [(True, {3}), (False, {10})])
def test_a_costly_table_is_sampled_but_in_ci(monkeypatch: pytest.MonkeyPatch, everyday: bool, counts: set[int]) -> None:
    monkeypatch.setattr(tables, "thorough", lambda: not everyday)
    tried: list[list[int]] = []

    @each_of("number", range(10), everyday=0.25)
    def check(number: int) -> None:
        tried[-1].append(number)

    for _ in range(100):
        tried.append([])
        check()
    assert {len(rows) for rows in tried} == counts
    assert all(rows == sorted(set(rows)) for rows in tried)
    assert {number for rows in tried for number in rows} == set(range(10))  # each has its turn


def test_a_row_of_a_sample_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "thorough", lambda: False)

    @each_of("number", range(10), ids=lambda number: f"no. {number}", everyday=0.25)
    def check(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ExceptionGroup, match="3 of 3 rows of number") as caught:
        check()
    assert [error.__notes__ for error in caught.value.exceptions] == [
        [f"row: no. {error.args[0]}"] for error in caught.value.exceptions
    ]


def test_a_share_of_a_table_has_at_least_one_row() -> None:
    assert [len(sampled(count, share)) for count, share in ((1, 0.01), (100, 0.01), (7, 1.0), (3, 0.5))] == [1, 1, 7, 2]
