"""What is read at which place; tests/data/field/text.jsonl has the forms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.parsers.dates import Calendar
from logops_fast.ingest.parsers.line_time import find_time, scan
from logops_fast.ingest.timestamps import canonical
from tests.support.tables import each_of

NOW = 1795600800.0  # 2026-11-25T10:00:00Z

pieces = st.lists(
    st.sampled_from(
        [
            "2023-03-01", "12:34:56", "T", " ", ",789", ".5", "Z", "+01:00", " CET", "[", "]", "01/Mar/2023", ":",
            "Mar  1", "Wed ", "Wed, ", "1 Mar 2023", "1677674096", "789", "I0507", "03-17",
            "ts=", 'time="', "level=info ", "- ",
            "1:M ", "type=A msg=audit(", "date=", "10.0.0.1 - - ", '"', "E, [", "=INFO REPORT==== ", "٣", "é", "99",
        ]
    ),
    max_size=9,
).map("".join)  # fmt: skip


@given(st.one_of(pieces, st.text(max_size=40)))
def test_what_is_found_can_be_read(text: str) -> None:
    found = scan(text)
    assert found is None or -1 <= found[4] <= len(text)
    ts = find_time(text, Calendar(NOW))
    if ts is not None and found is not None and found[1][6:] != "60":
        assert canonical(ts) is not None


@given(pieces)
def test_a_time_after_a_word_of_prose_is_not_read(text: str) -> None:
    assert find_time("the " + text.replace("[", "("), Calendar(NOW)) is None


@each_of(
    ("line", "rest"),
    [
        ("2023-03-01 12:34:56,789 INFO x", " INFO x"),
        ("[2023-03-01T12:34:56Z WARN  x", " WARN  x"),
        ("2023-03-01 12:34:56.789 CET [123] LOG:  x", " [123] LOG:  x"),
        ("2023-03-01 12:34:56 - root", " - root"),
        ("[01-Mar-2023 12:34:56 Europe/Berlin] x", "] x"),
        ("ts=2023-03-01T12:34:56Z level=info", " level=info"),
        ("Wed Mar  1 12:34:56 ERROR x", " ERROR x"),
    ],
)
def test_the_place_after_the_time_is_known(line: str, rest: str) -> None:
    found = scan(line)
    assert found is not None
    assert line[found[4] :] == rest


def test_a_line_may_be_read_from_within() -> None:
    found = scan("  2023-03-01 12:34:56 x", 2)
    assert found is not None
    assert found[:2] == ("2023-03-01", "12:34:56")
