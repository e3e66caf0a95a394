"""Hostile text: the work grows with the text, counted and never timed.

What is counted is the Python lines that run while a text is masked. Of twice as much text they are about twice as many;
quadratic work would take four times as many. What the patterns themselves do is linear by their form (possessive
repeats, bounded look-around).
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines
from tests.ingest.pii.hostile import UNITS
from tests.support.tables import each_of

SMALL = 1_200
MASKER = Masker(["nick", "acct_*"], ["kept"])


def lines_run(event: dict[str, Any], masker: Masker = MASKER) -> int:
    """How many lines of the package run while the event is masked."""
    count = 0

    def trace(frame: FrameType, what: str, _: object) -> Any:
        nonlocal count
        if "logops_fast" not in frame.f_code.co_filename:
            return None
        if what == "line":
            count += 1
        return trace

    batch = [event]
    lines = to_lines(batch)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        masker.mask_lines(lines, batch, {})
    finally:
        sys.settrace(before)
    return count


@pytest.mark.interpreted
@pytest.mark.parametrize("where", ["value", "key", "many"])
@each_of("unit", UNITS, everyday=0.2)
def test_twice_the_text_takes_about_twice_the_work(unit: str, where: str) -> None:
    def event(size: int) -> dict[str, Any]:
        text = (unit * (size // len(unit) + 1))[:size]
        if where == "many":
            return {"l": [unit] * (size // (len(unit) + 3))}
        return {text: 1} if where == "key" else {"k": text, "o": {"p": [text]}}

    first = lines_run(event(SMALL))
    assert lines_run(event(2 * SMALL)) < 2.6 * first + 100


MOST_LINES_A_BYTE = 6


@pytest.mark.interpreted
@each_of("unit", UNITS, everyday=0.2)
def test_a_repeated_unit_costs_a_few_lines_a_byte(unit: str) -> None:
    """What bounds the cost beside normal text, of which `python -m bench.hostile` has the times."""
    masker = Masker()

    def run(count: int) -> int:
        return lines_run({"k": unit * count}, masker)

    assert run(400) - run(200) <= MOST_LINES_A_BYTE * 200 * len(unit)
