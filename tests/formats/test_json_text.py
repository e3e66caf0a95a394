from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats import json_text
from tests.support.tables import each_of


@each_of(
    ("body", "expected"),
    [
        (b"", []),
        (b" \r\n\t", []),
        (b"[]", []),
        (b'{"a":1}', [b'{"a":1}']),
        (b" 17 ", [b"17"]),
        (b'[ {"a":[1,2]} ,\n "x,y" , [3, 4], null]', [b'{"a":[1,2]}', b'"x,y"', b"[3, 4]", b"null"]),
        (b"\xef\xbb\xbf[1,2]", [b"1", b"2"]),
        (b'["\xff"]', [b'"\xff"']),
        (rb'["\ud800", "\ud83d\ude00"]', [rb'"\ufffd"', rb'"\ud83d\ude00"']),
        (b'{"a":1}{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b' {"a":"}{"}\r\n\n{"b":\n2 } ', [b'{"a":"}{"}', b'{"b":\n2 }']),
        (b'{"a":1} x {"b":2}\n{"c":3}', [b'{"a":1}', b'x {"b":2}', b'{"c":3}']),
        (b'{bad}\n{"c":3}', [b"{bad}", b'{"c":3}']),
        (b'{"a":1}{"b":', [b'{"a":1}', b'{"b":']),
        (b'{"a":1} 5 "}"', [b'{"a":1}', b"5", b'"}"']),
        (rb'{"a":"\ud800"}{"b":"\\\ud800"}', [rb'{"a":"\ufffd"}', rb'{"b":"\\\ufffd"}']),
    ],
)
def test_items_are_the_raw_elements(body: bytes, expected: list[bytes]) -> None:
    assert json_text.items(body) == expected
    assert json_text.count(body) == len(expected)


@each_of(
    ("body", "where"),
    [
        (b'{"a":1', "line 1 column"),
        (b"[1,\n2,\n tru]", "line 3 column"),
        (b"[1,]", "trailing comma"),
        (b'[{"a":"\xff"}, {]', "line 1 column"),
        (rb'["\ud800", nope]', "line 1 column 12"),
        (b"[" * 100_000, "too deeply"),
        (b"[NaN]", "line 1 column 2"),
    ],
)
def test_a_broken_body_says_where_and_counts_nothing(body: bytes, where: str) -> None:
    with pytest.raises(json_text.BrokenJsonError, match=where):
        json_text.items(body)
    assert json_text.count(body) == 0


def test_a_broken_body_is_not_quoted_in_the_message() -> None:
    with pytest.raises(json_text.BrokenJsonError) as caught:
        json_text.items(b'{"email":"alice@example.com" oops}')
    assert "alice" not in str(caught.value)
    assert "oops" not in str(caught.value)


@given(st.text(alphabet=st.sampled_from("\\ud8Cf0aé\U0001f600\udc00\ud83d"), max_size=30))
def test_mending_makes_any_string_storable_and_changes_no_other(text: str) -> None:
    written = json.dumps(text).encode()
    replaced = json_text.replace_lone_surrogates(written)
    assert len(replaced) == len(written)
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if paired.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass"):
        assert replaced is written
    read = json.loads(replaced)
    read.encode()
    assert len(read) == len(json.loads(written))
