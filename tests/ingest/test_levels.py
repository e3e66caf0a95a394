from __future__ import annotations

from typing import Any

import pytest

from logops_fast.ingest.levels import BY_NAME, LEVELS, level_of


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("warning", "WARN"), ("WARN", "WARN"), ("err", "ERROR"), ("Severe", "ERROR"), ("crit", "FATAL"),
        ("critical", "FATAL"), ("emerg", "FATAL"), ("Emergency", "FATAL"), ("alert", "FATAL"), ("panic", "FATAL"),
        ("notice", "INFO"), ("informational", "INFO"), ("information", "INFO"), ("verbose", "TRACE"), ("fine", "DEBUG"),
        ("finest", "TRACE"), ("dbg", "DEBUG"), ("trace", "TRACE"), ("wArNiNg", "WARN"), (" error\n", "ERROR"),
        ("[INFO]", "INFO"), ("<debug>", "DEBUG"), ("E", "ERROR"),
        (0, "FATAL"), (3, "ERROR"), (4, "WARN"), (6, "INFO"), (7, "DEBUG"), (10, "TRACE"), (30, "INFO"), (50, "ERROR"),
        (60, "FATAL"), (30.0, "INFO"), ("40", "WARN"), ("3", "ERROR"),
    ],
)  # fmt: skip
def test_the_usual_names_and_numbers_are_known(value: Any, level: str) -> None:
    assert level_of(value) == level


@pytest.mark.parametrize(
    "value",
    ["", "loud", "8", "300", "-1", "\u0663", 8, 35, -1, 30.5, float("nan"), True, False, None, [], {}, ["INFO"]],
)
def test_anything_else_is_unknown(value: Any) -> None:
    assert level_of(value) is None


def test_every_level_is_its_own_name_and_no_name_has_two() -> None:
    assert [level_of(level) for level in LEVELS] == list(LEVELS)
    assert set(BY_NAME.values()) == set(LEVELS)
