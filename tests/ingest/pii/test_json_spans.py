"""Where brackets and strings end that are in JSON text, which may be a string of JSON text. ``§`` is at the end."""

from __future__ import annotations

import json

import pytest

from logops_fast.ingest.pii.escapes import neutralise
from logops_fast.ingest.pii.json_spans import brackets_end, escaped_end

END = "§"


def neutral(text: str, depth: int) -> tuple[bytes, int]:
    """Text in so many JSON texts within each other as the masks see it, and where its ``END`` is, which is left out."""
    for _ in range(depth):
        text = json.dumps({"m": text, "z": "y]}"}, ensure_ascii=False)
    found = neutralise(json.dumps(text, ensure_ascii=False).encode())
    return found.replace(END.encode(), b""), found.index(END.encode())


@pytest.mark.parametrize("depth", range(3))
@pytest.mark.parametrize(
    "text",
    [
        'x=[1, {"a": ["b]", "c\\"]"]}]§ after',
        "x={'a': [b]}§, after",
        "x=[[[[[[1]]]]]]§ after",
        'x=["a\\\\b"]§ after',
        "x=[]§",
        # The string ends before the brackets close.
        "x=[a§",
        "x=[a, {b}§",
        "x=[§",
        'x=[§"',
        'x=[§"a" b',
    ],
)
def test_brackets_end_where_they_close_or_a_string_does(text: str, depth: int) -> None:
    whole, end = neutral(text, depth)
    assert brackets_end(whole, whole.index(b"x=") + 2, in_json=False) == end


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("text", ['x="a b§" c', 'x="C:\\\\§" c', 'x="a\\"b§" c', 'x="cut§', 'x="C:\\§'])
def test_a_string_in_a_string_ends_at_its_own_quote_or_one_around_it(text: str, depth: int) -> None:
    whole, end = neutral(text, depth)
    start = whole.index(b"x=") + 2
    assert escaped_end(whole, start, whole.index(b"\xfd", start) + 1) == end


def test_brackets_of_a_member_end_with_the_whole_string_if_they_do_not_close() -> None:
    whole = b'"\xfda\xfd:[1,{\xfdb\xfd:2}" "x]"'
    assert brackets_end(whole, whole.index(b"["), in_json=True) == whole.index(b'" "')
    closed = b'"\xfda\xfd:[1,{\xfdb\xfd:\xfd]\xfd}],"'
    assert brackets_end(closed, closed.index(b"["), in_json=True) == closed.index(b',"')
