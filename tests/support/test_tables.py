from __future__ import annotations

import inspect

import pytest

from tests.support.tables import each_of


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
