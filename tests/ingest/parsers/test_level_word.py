from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.levels import LEVELS
from logops_fast.ingest.parsers.level_word import find_level
from tests.support.tables import each_of

pieces = st.lists(
    st.sampled_from(
        [
            "ERROR", "error", "Warning", "INFO", "level", "lvl=", "severity", "=", ":", ": ", " ", "\t", "[", "]", "<",
            ">", "|", " - ", "/", ".", "-", '"', "'", "{", "}", ",", "no ", "2023-03-01 12:34:56",
            "I0507 12:02:27.987222",
            "03-17 16:13:38.811", " 12 34 W tag: ", "1:M 01 Mar 2023 12:34:56.789 # ", "LOG:  ", "\x1b[31m", "é", "İ",
            "ﬀ", "PHP Fatal error: ", "E, [", "W/a(1): ", "=ERROR REPORT====",
        ]
    ),
    max_size=10,
).map("".join)  # fmt: skip


@given(st.one_of(pieces, st.text(max_size=60)))
def test_any_text_names_a_level_or_none(text: str) -> None:
    assert find_level(text) in (None, *LEVELS)


@each_of(
    ("text", "level"),
    [
        ("INFO up", "INFO"),
        ("[error] failed", "ERROR"),
        ("12:00 Warning: hot", "WARN"),
        ('level=warn msg="ERROR budget"', "WARN"),
        ('{"severity": "notice", "m": "ERROR"}', "INFO"),
        ('{"level":50,"msg":"x"}', "ERROR"),
        ('{"level":"odd","msg":"WARN x"}', "WARN"),
        ('{"msg":"ERROR","n":1}', "ERROR"),
        ('{"log":"{\\"level\\":\\"warn\\"}"}', None),
        ('{"level":true}', None),
        ('{"level": "error", broken', "ERROR"),
        ("\x1b[1;31mERROR\x1b[0m red", "ERROR"),
        ("[\x1b[33mwarn\x1b[0m] yellow", "WARN"),
        ("Level: odd, INFO", "INFO"),
        ("Alert: NOTICE", "FATAL"),
        ("information", None),
        ("", None),
        ("x" * 2000 + " ERROR", None),
        ("İ" * 10 + " level=error", "ERROR"),
        ("loglevel=debug x", "DEBUG"),
        ("log.level=debug x", "DEBUG"),
        ("levelname=CRITICAL x", "FATAL"),
        ("xlevel=debug", None),
        ("a level = error b", "ERROR"),
        ("job done, exit code 0 (error)", None),
    ],
)
def test_a_level_is_found(text: str, level: str | None) -> None:
    assert find_level(text) == level
