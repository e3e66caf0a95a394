from __future__ import annotations

from collections.abc import Generator

import pytest

from logops_fast.formats.steps import result_of


def counted(steps: int, *, then: Exception | None = None) -> Generator[None, None, int]:
    for _ in range(steps):
        yield
    if then is not None:
        raise then
    return steps


@pytest.mark.parametrize("steps", [0, 1, 100])
def test_all_steps_are_made(steps: int) -> None:
    assert result_of(counted(steps)) == steps


def test_what_a_step_raises_is_passed_on() -> None:
    with pytest.raises(ValueError, match="broken"):
        result_of(counted(3, then=ValueError("broken")))
