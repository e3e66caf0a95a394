"""That no step of reading a large batch depends on how its events are made."""

from __future__ import annotations

from typing import Any

from logops_fast.formats.batch import Batch
from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import BAD_JSON, Fault, Parsed
from logops_fast.ingest.reading_jobs import ReadingJob
from logops_fast.ingest.summary import STEP_ITEMS, STEP_MEMBERS, Reading

NOW = 1_800_000_000.0


def reading() -> Reading:
    return Reading(Batch(b"", Format.JSON, "web", "na", "1", False, 0.0), Normaliser(), 262_144, NOW)


def wide(members: int) -> dict[str, Any]:
    return {f"c{number}": number for number in range(members)}


def steps(parsed: Parsed) -> list[tuple[int, int]]:
    """Events and faults that each step takes."""
    one = reading()
    one.hold(parsed)
    taken: list[tuple[int, int]] = []
    before = (0, 0)
    while one.take_more():
        taken.append((one.count - before[0], one.faults - before[1]))
        before = (one.count, one.faults)
    return taken


def test_a_step_takes_few_events() -> None:
    assert steps(Parsed([wide(3) for _ in range(300)], [])) == [(STEP_ITEMS, 0), (STEP_ITEMS, 0), (44, 0)]
    assert steps(Parsed([], [])) == []


def test_a_step_takes_few_members() -> None:
    """Rows of CSV have up to 4,096 cells: 128 of them took a tenth of a second."""
    few = STEP_MEMBERS // 3
    assert steps(Parsed([wide(few) for _ in range(8)], [])) == [(3, 0), (3, 0), (2, 0)]
    assert steps(Parsed([wide(STEP_MEMBERS + 1) for _ in range(3)], [])) == [(1, 0)] * 3
    assert steps(Parsed([*(wide(1) for _ in range(4)), wide(STEP_MEMBERS)], [])) == [(4, 0), (1, 0)]


def test_faults_beside_wide_events_are_taken_and_keep_their_indexes() -> None:
    faults = [Fault(number, BAD_JSON, "x") for number in range(STEP_ITEMS + 5)]
    parsed = Parsed([wide(STEP_MEMBERS) for _ in range(3)], faults)
    assert steps(parsed) == [(1, 1), (1, 1), (1, STEP_ITEMS), (0, 3)]
    one = reading()
    one.hold(Parsed([wide(2)], []))
    while one.take_more():
        pass
    one.hold(parsed)
    while one.take_more():
        pass
    assert [error.index for error in one.errors] == [number + 1 for number in range(len(one.errors))]


def test_a_piece_is_parsed_in_one_step_and_normalised_in_others() -> None:
    done: list[Exception | None] = []
    one = reading()
    pieces = iter([Parsed([wide(1)], []), Parsed([], []), Parsed([wide(1)] * 1, [])])
    job = ReadingJob(one, pieces, lambda _reading, failure: done.append(failure))
    counts = []
    while job.step():
        counts.append(one.count)
    assert counts == [0, 1, 1, 1, 2]
    assert done == [None]
