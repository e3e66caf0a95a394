from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.levels import (
    BY_NAME,
    LEVELS,
    MONOLOG,
    NO_NUMBERS,
    OTEL,
    PYTHON,
    SYSLOG,
    WORDS,
    leading_level,
    level_of,
    may_name_level,
)
from logops_fast.ingest.parsers.level_word import find_level
from tests.support.tables import each_of


@each_of(
    ("value", "level"),
    [
        ("warning", "WARN"), ("WARN", "WARN"), ("err", "ERROR"), ("Severe", "ERROR"), ("crit", "FATAL"),
        ("critical", "FATAL"), ("emerg", "FATAL"), ("Emergency", "FATAL"), ("alert", "FATAL"), ("panic", "FATAL"),
        ("notice", "INFO"), ("informational", "INFO"), ("information", "INFO"), ("verbose", "TRACE"), ("fine", "DEBUG"),
        ("finest", "TRACE"), ("dbg", "DEBUG"), ("trace", "TRACE"), ("wArNiNg", "WARN"), (" error\n", "ERROR"),
        ("[INFO]", "INFO"), ("<debug>", "DEBUG"), ("E", "ERROR"),
        (0, "FATAL"), (3, "ERROR"), (4, "WARN"), (6, "INFO"), (7, "DEBUG"), (10, "TRACE"), (30, "INFO"), (50, "ERROR"),
        (60, "FATAL"), (30.0, "INFO"), ("40", "WARN"), ("3", "ERROR"),
        (25, "DEBUG"), (35, "INFO"), (45, "WARN"), (55, "ERROR"), (69, "FATAL"), ("19", "TRACE"),
        ("\x1b[1;31mERROR\x1b[0m", "ERROR"), ("\x1b[33mwarn\x1b[39m", "WARN"), ("INFO+2", "INFO"), ("DEBUG-4", "DEBUG"),
        ("ERROR2", "ERROR"), ("DEBUG4", "DEBUG"), ("D1", "DEBUG"), ("silly", "TRACE"), ("NOTI", "INFO"),
        ("http", "DEBUG"), ("SEVERITY_NUMBER_WARN2", "WARN"), ("Level 25", "INFO"), ("trce", "TRACE"),
        ("fail", "ERROR"), ("PANI", "FATAL"),
        ("LOG", "INFO"), ("DEFAULT", "INFO"), (" WARN", "WARN"), ("ERROR:", "ERROR"),
    ],
)  # fmt: skip
def test_the_usual_names_and_numbers_are_known(value: Any, level: str) -> None:
    assert level_of(value) == level


@each_of(
    "value",
    [
        "", "loud", "8", "9", "70", "300", "-1", "\u0663", 8, 9, 70, 100, -1, 30.5, float("nan"), float("inf"), True,
        False, None, [], {}, ["INFO"], "INFO+", "+2", "2INFO", "INFO+200", "errors found", "x" * 100, "\x1b[31m",
        "level 2000",
    ],
)  # fmt: skip
def test_anything_else_is_unknown(value: Any) -> None:
    assert level_of(value) is None


@each_of(
    ("numbers", "value", "level"),
    [
        *((OTEL, n, LEVELS[(n - 1) // 4]) for n in range(1, 25)),
        (OTEL, 0, None), (OTEL, 25, None), (OTEL, "17", "ERROR"),
        (SYSLOG, 0, "FATAL"), (SYSLOG, 2, "FATAL"), (SYSLOG, "3", "ERROR"), (SYSLOG, 7, "DEBUG"), (SYSLOG, 8, None),
        (SYSLOG, 30, None),
        (MONOLOG, 100, "DEBUG"), (MONOLOG, 200, "INFO"), (MONOLOG, 250, "INFO"), (MONOLOG, 300, "WARN"),
        (MONOLOG, 400, "ERROR"), (MONOLOG, 500, "FATAL"), (MONOLOG, 600, "FATAL"), (MONOLOG, 99, None),
        (MONOLOG, 601, None),
        (PYTHON, 5, "TRACE"), (PYTHON, 10, "DEBUG"), (PYTHON, 20, "INFO"), (PYTHON, 25, "INFO"), (PYTHON, 30, "WARN"),
        (PYTHON, 40, "ERROR"), (PYTHON, 50, "FATAL"), (PYTHON, 0, None), (PYTHON, 100, None),
        (NO_NUMBERS, 3, None), (NO_NUMBERS, "Error", "ERROR"),
    ],
)  # fmt: skip
def test_numbers_go_by_their_scale(numbers: str, value: Any, level: str | None) -> None:
    assert level_of(value, numbers) == level


LEVEL_WORDS = [spelt for names in WORDS.values() for name in names.split() for spelt in (name, name.upper())]
MARKS = [
    " ", ": ", ":", "  ", "] ", "[", "|", " | ", " - ", "=", "/", "\t", "<", "(", ")", ",", ".", '"', "'", "{", "level",
    "lvl", "severity", "[core:", "local.", "no ",
]  # fmt: skip
marks = st.lists(st.sampled_from(MARKS), max_size=2).map("".join)
words_with_marks = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "foo ", "GET /x ", "E", "a"]),
    marks,
    st.sampled_from(LEVEL_WORDS),
    marks,
    st.sampled_from(["", "bar", "bar baz"]),
)
LOWER_CASE_WORD = re.compile(r"(?<![\w./@-])(?:trace|debug|info|warning|warn|error|err|critical|crit|fatal)")


@given(st.one_of(words_with_marks, st.text(min_size=1)))
def test_a_text_that_may_name_no_level_has_none_to_be_found(text: str) -> None:
    if text and not may_name_level(text):
        # A word of prose, without any mark, is no level even where a search takes it for one.
        assert find_level(text) is None or LOWER_CASE_WORD.search(text.lower())


@given(st.sampled_from(LEVEL_WORDS), st.sampled_from(["{} x", "{}: x", "[{}] x", "[{}]: x", "{}", "{}x", "a {} x"]))
def test_a_leading_word_is_what_the_search_finds(word: str, form: str) -> None:
    text = form.format(word)
    level = leading_level(text)
    assert level is None or level == find_level(text)


def test_the_usual_leading_words_are_known() -> None:
    texts = {
        "ERROR x": "ERROR",
        "[INFO] x": "INFO",
        "[warn] x": "WARN",
        "CRITICAL: x": "FATAL",
        "[EMERGENCY]: x": "FATAL",
    }
    assert {text: leading_level(text) for text in texts} == texts
    assert [leading_level(text) for text in ("error x", "ERRORS x", "x ERROR", "")] == [None] * 4


@pytest.mark.parametrize(
    "text",
    [
        "request completed in 812 ms with status 200",
        "GET /api/v1/orders returned 200 after 5 ms, upstream pool healthy",
        "cache miss on key session:ab12 while serving /login", "Order 7 moved to state PAID, 3 items",
    ],
)  # fmt: skip
def test_most_messages_are_not_searched(text: str) -> None:
    assert not may_name_level(text)


def test_every_level_is_its_own_name_and_no_name_has_two() -> None:
    assert [level_of(level) for level in LEVELS] == list(LEVELS)
    assert set(BY_NAME.values()) == set(LEVELS)


@each_of(
    "word", ["ERR", "WARN", "CRIT", "ALERT", "EMERG", "SEVERE", "TRACE", "INFO", "FATAL", "NOTICE", "PANIC", "DEBUG"]
)
def test_a_word_in_capitals_anywhere_is_searched_for(word: str) -> None:
    assert may_name_level(f"the disk {word} today")


@each_of("name", sorted({name for names in WORDS.values() for name in names.split() if len(name) > 2}))
def test_a_name_in_front_is_searched_for(name: str) -> None:
    assert may_name_level(f"{name} of the disk")


@each_of("text", ["abc warn: x", "abc - warn", "abc level:warn", "abc lvl:3", "app.err:x", "abc severity:3"])
def test_a_mark_is_searched(text: str) -> None:
    assert may_name_level(text)


@pytest.mark.parametrize("text", ["ready FOR CARGO AGAIN", "request-id of GET /x:y", "the R and F and C and G"])
def test_capitals_and_marks_alone_are_not(text: str) -> None:
    assert not may_name_level(text)


def test_a_long_text_is_no_level() -> None:
    assert level_of("err".rjust(64)) == "ERROR"
    assert level_of("err".rjust(65)) is None
