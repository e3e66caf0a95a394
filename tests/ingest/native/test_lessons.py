"""Lessons for the kernel: of all that is new, as many as pay."""

from __future__ import annotations

from collections import Counter

from logops_fast.ingest.levels import LEVELS
from logops_fast.ingest.native.lessons import Lessons
from logops_fast.ingest.normaliser import Normaliser


class Pupil:
    """Counts what it is taught."""

    def __init__(self) -> None:
        self.taught: Counter[str] = Counter()
        self.levels: dict[tuple[int, str], int | None] = {}
        self.layouts: list[tuple[list[str], bool]] = []

    def learn(
        self, names: list[str], items: list[tuple[int, int, int, str]] | None, constants: int, telltale: bool
    ) -> None:
        self.taught["layout"] += 1
        self.layouts.append((names, items is not None))

    def learn_name(self, name: str, plain: bool) -> None:
        self.taught["name"] += 1

    def learn_level(self, scale: int, text: str, level: int | None) -> None:
        self.levels[scale, text] = level


def test_a_layout_is_taught_once_a_body_and_one_that_names_do_not_settle_as_such() -> None:
    pupil = Pupil()
    lessons = Lessons(pupil, Normaliser())
    lessons.layouts([("msg", "a"), ("msg", "a"), ("emitter", "msg"), ("msg", "password")])
    assert pupil.layouts == [(["msg", "a"], True), (["emitter", "msg"], False), (["msg", "password"], False)]


def test_senders_of_ever_new_names_are_taught_little() -> None:
    pupil = Pupil()
    lessons = Lessons(pupil, Normaliser())
    for body in range(1000):
        lessons.earn(0)
        lessons.layouts(("msg", f"n{body}-{number}") for number in range(50))
        lessons.words([f"m{body}-{number}" for number in range(32)], [])
    assert pupil.taught["layout"] + pupil.taught["name"] / 8 <= 64 + 1000 / 8 + 4
    before = pupil.taught["layout"]
    lessons.earn(10_000)  # events that were finished earn more
    lessons.layouts(("msg", f"late-{number}") for number in range(50))
    assert pupil.taught["layout"] - before == 16


def test_levels_are_those_of_the_reference() -> None:
    pupil = Pupil()
    Lessons(pupil, Normaliser()).words([], [(0, "DEBUG2"), (0, "30"), (1, "30"), (0, "unheard of")])
    assert pupil.levels == {
        (0, "DEBUG2"): LEVELS.index("DEBUG"),
        (0, "30"): LEVELS.index("INFO"),
        (1, "30"): None,
        (0, "unheard of"): None,
    }
