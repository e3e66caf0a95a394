from __future__ import annotations

import re
import tracemalloc
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.ingest.parsers import rfc5424, structured_data
from logops_fast.patterns import compile_possessive

# The grammar of RFC 5424, 6.3.1 as one pattern: short, and hungry for memory. The scanner must agree with it.
_DATA: Final = compile_possessive(r'(?s)(?:\[[^ =\]"]++(?: ++[^ =\]"]++="[^"\\]*+(?:\\.[^"\\]*+)*+")*+ ?\])++')
_ELEMENT: Final = compile_possessive(r'(?s)\[([^ =\]"]++)((?: ++[^ =\]"]++="[^"\\]*+(?:\\.[^"\\]*+)*+")*+) ?\]')
_PARAM: Final = compile_possessive(r'(?s)([^ =\]"]++)="([^"\\]*+(?:\\.[^"\\]*+)*+)"')

pieces = st.lists(
    st.sampled_from(
        [
            "[",
            "]",
            "a",
            "b@1",
            " ",
            "  ",
            '="',
            '"',
            "\\",
            '\\"',
            "\\]",
            "=",
            ' k="v"',
            ' k="w"',
            '[a k="v"]',
            "\n",
            "é",
        ]
    ),
    max_size=16,
).map("".join)


def by_pattern(text: str) -> tuple[dict[str, Any], int]:
    found = _DATA.match(text)
    if found is None:
        return {}, -1
    elements: dict[str, Any] = {}
    for name, written in _ELEMENT.findall(found[0]):
        element = elements.setdefault(name, {})
        for key, value in _PARAM.findall(written):
            text_value = re.sub(r'\\(["\\\]])', r"\1", value)
            if key not in element:
                element[key] = text_value
            elif isinstance(element[key], list):
                element[key].append(text_value)
            else:
                element[key] = [element[key], text_value]
    return elements, found.end()


@given(pieces)
@example('[a k="\\\\"]')
@example('[a k="\\"" l="]"][a k="2"] ')
@example('[a k="1"][a k="2"')
def test_the_scanner_agrees_with_the_grammar(text: str) -> None:
    expected, end = by_pattern(text)
    elements, scanned = structured_data.read(text, 0)
    # The pattern takes the good elements in front of a bad one; the message then begins inside it, which is refused.
    if scanned < 0:
        assert end < 0 or text.startswith("[", end)
    else:
        assert (elements, scanned) == (expected, end)
    assert structured_data.find_end(text, 0) == scanned


@pytest.mark.parametrize("pair", ['\\"', "\\\\", '""'])
def test_escapes_take_no_memory_each(pair: str) -> None:
    line = '<13>1 - - - - - [a k="' + pair * 200_000
    tracemalloc.start()
    try:
        event = rfc5424.parse_line(line)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert event is not None
    assert "sd" not in event
    assert event["msg"] == line[line.index("[") :]
    assert peak < 2 * len(line)


def test_a_value_of_many_escapes_is_read() -> None:
    event = rfc5424.parse_line('<13>1 - - - - - [a k="' + '\\"' * 200_000 + '"] m')
    assert event is not None
    assert event["sd"] == {"a": {"k": '"' * 200_000}}
    assert event["msg"] == "m"


def test_many_parameters_are_read() -> None:
    data = "[a" + "".join(f' k{n}="{n}"' for n in range(1000)) + "]"
    elements, end = structured_data.read(data, 0)
    assert end == len(data)
    assert elements["a"] == {f"k{n}": str(n) for n in range(1000)}


@given(st.lists(st.tuples(st.sampled_from(["\\\\", '\\"', "\\]", "\\x", "x", "]"]), st.integers(1, 150)), max_size=6))
def test_long_runs_of_escapes_are_read_as_the_grammar_says(runs: list[tuple[str, int]]) -> None:
    text = '[a k="' + "".join(what * times for what, times in runs) + '" l="2"][b] rest'
    assert structured_data.read(text, 0) == by_pattern(text)
    assert structured_data.find_end(text, 0) == by_pattern(text)[1]


def test_a_line_of_too_many_parts_is_a_message() -> None:
    for data in ("[x" + ' a="b"' * structured_data.MAX_PARTS + "]", "[x]" * (structured_data.MAX_PARTS + 1)):
        event = rfc5424.parse_line(f"<13>1 - - - - - {data} m" + " " * 16_384)
        assert event is not None
        assert "sd" not in event
        assert event["msg"].startswith(data)
