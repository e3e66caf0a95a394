from __future__ import annotations

from logops_fast.ingest.levels import LEVELS
from logops_fast.ingest.parsers.level_vocabulary import BY_CAPITALS, is_level


def test_a_level_is_known_by_itself() -> None:
    assert is_level("Warning")
    assert is_level("ERR")
    assert not is_level("host")


def test_words_in_capitals_have_one_of_the_levels() -> None:
    assert set(BY_CAPITALS.values()) == set(LEVELS)
    assert BY_CAPITALS["STATEMENT"] == "INFO"
