"""Work that is written as steps, so that a large body holds the event loop for none of them for long, done at once."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")


def result_of(steps: Generator[None, None, Result]) -> Result:
    """Make all steps one after the other, and return their result; what a step raises is passed on."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
