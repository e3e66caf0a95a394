from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.parsers.loki_labels import MAX_LABELS, MAX_LABELS_BYTES, parse_labels
from tests.support.loki import labels_of
from tests.support.tables import each_of


@each_of(
    ("text", "labels"),
    [
        ("{}", {}),
        ("", {}),
        ('{a="b"}', {"a": "b"}),
        ('  { a = "b" , c_1= "d, e}=" , }  ', {"a": "b", "c_1": "d, e}="}),
        (r'{path="C:\\temp", q="say \"hi\"", nl="a\nb\t"}', {"path": r"C:\temp", "q": 'say "hi"', "nl": "a\nb\t"}),
        (r'{u="\u00e4\U0001F600", x="\xc3\xa4", o="\303\244", r="\a\b\f\v\'"}',
         {"u": "ä😀", "x": "ä", "o": "ä", "r": "\a\b\f\v'"}),
        (r'{bad="\xff\x00"}', {"bad": "\ufffd\0"}),
        (r'{raw=`a\nb"`}', {"raw": r'a\nb"'}),
        ('{"quoted.name"="v"}', {"quoted.name": "v"}),
        ('{a="1", a="2"}', {"a": "2"}),
        ('{a="ä,\n"}', {"a": "ä,\n"}),
    ],
)  # fmt: skip
def test_labels_are_read_as_go_writes_them(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


@each_of(
    "text",
    [
        "a", "{", "}", "{a}", '{a="b"', '{a="b}', '{a="b" c="d"}', '{a="b"}x', '{a="b"},', '{1a="b"}', "{a=b}",
        "{a='b'}", '{,a="b"}', '{a=~"b"}', r'{a="\q"}', r'{a="\u12"}', r'{a="\ud800"}', r'{a="\U00110000"}',
        r'{a="\400"}', '{=""}', r'{"\q"="b"}', '{a="' + "x" * MAX_LABELS_BYTES + '"}',
        "{" + ",".join(f'a{n}="b"' for n in range(MAX_LABELS + 1)) + "}",
    ],
)  # fmt: skip
def test_what_is_not_of_the_form_is_none(text: str) -> None:
    assert parse_labels(text) is None


def test_as_many_labels_as_may_be_are_read() -> None:
    assert len(parse_labels("{" + ",".join(f'a{n}="b"' for n in range(MAX_LABELS)) + "}") or ()) == MAX_LABELS


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), st.text(max_size=12), max_size=5))
def test_any_values_come_back(labels: dict[str, str]) -> None:
    labels = {name: "".join(c for c in value if not "\ud800" <= c <= "\udfff") for name, value in labels.items()}
    assert parse_labels(labels_of(labels)) == labels


@given(st.text(alphabet='{}a="\\,` \n', max_size=30))
def test_any_text_is_labels_or_none(text: str) -> None:
    labels = parse_labels(text)
    assert labels is None or all(isinstance(value, str) for value in labels.values())
