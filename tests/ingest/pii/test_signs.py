"""No masked kind escapes its triggers: what a finder finds, the table of triggers asks for."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logops_fast.ingest.pii import signs as kinds_of
from logops_fast.ingest.pii.cards import find_cards
from logops_fast.ingest.pii.escapes import neutralise
from logops_fast.ingest.pii.keyforms import FORMS
from logops_fast.ingest.pii.kinds import CREDENTIALS, PLAIN, SECRETS, Kind
from logops_fast.ingest.pii.members import Members
from logops_fast.ingest.pii.names import SECRET_NAMES, NameRules
from logops_fast.ingest.pii.pairs import Pairs
from logops_fast.ingest.pii.signs import FREQUENT, Signs, Triggers
from logops_fast.ingest.pii.triggers import endings_of
from logops_fast.ingest.serialiser import to_json
from tests.ingest.pii import contexts
from tests.ingest.pii.strategies import PII, texts
from tests.support.examples import examples
from tests.support.tables import each_of

KINDS: Final = (*SECRETS, *CREDENTIALS, *PLAIN)
RULES: Final = NameRules(["nick", "x*y"], ["kept"])
TRIGGERS: Final = Triggers(RULES)
ENDINGS: Final = endings_of(RULES)
assert ENDINGS is not None
MEMBERS: Final = Members(RULES, ENDINGS)
PAIRS: Final = Pairs(RULES, ENDINGS)
AWAY: Final = b'{"m":"nothing"}'


def signs_of_second_row(line: bytes) -> Signs:
    """The signs of a line with others around it."""
    return Signs(b"\n".join((AWAY, line, AWAY, AWAY)), TRIGGERS)


def check(kinds: tuple[Kind, ...], text: str) -> None:
    line = neutralise(to_json({"k": text, text: [text]}))
    signs = signs_of_second_row(line)
    for kind in kinds:
        if kind.find(line):
            assert signs.found & kind.sign, kind
            assert kind.sign & FREQUENT or signs.rows == [1], kind
    if MEMBERS.cuts(line)[0] or PAIRS.cuts(line)[0]:
        assert signs.named
        assert signs.rows == [1]


@given(texts)
@example("1//0" + "a" * 16 + "-b" * 20)
@example("4111\u00a01111\u00a01111\u00a01111")
@example("4111\u20131111\u20131111\u20131111")
@example("<password>x</password>")
def test_what_a_finder_finds_has_its_sign_in_its_row(text: str) -> None:
    check(KINDS, text)


@given(st.integers(0, 2**32))
def test_so_has_what_the_field_sends(seed: int) -> None:
    check(KINDS, contexts.case(seed).text)


@pytest.mark.parametrize("form", sorted(FORMS))
@settings(max_examples=examples(0.3))
@given(st.data())
def test_so_has_every_form_of_a_key(form: str, data: st.DataObject) -> None:
    pattern = FORMS[form].decode()
    check(SECRETS, f"x {data.draw(st.from_regex(pattern, fullmatch='(?<=' not in pattern, alphabet=ASCII))} y")


ASCII: Final = st.characters(codec="ascii", exclude_categories=["Cc"])


@each_of("name", [*SECRET_NAMES, "nick", "xay", "kept"])
def test_a_name_is_seen_before_each_of_its_separators(name: str) -> None:
    for text in (f"{name}=v", f"{name} : v", f'"{name}": "v"', f"<{name}>v</{name}>"):
        if name in SECRET_NAMES:
            assert signs_of_second_row(neutralise(to_json([text]))).named, text
    assert signs_of_second_row(to_json({"a": {name: 1}})).rows == [1]


def test_ordinary_text_has_no_sign() -> None:
    quiet = b'{"msg":"session:1f2e moved to PAID at 12:30:59, region: eu, 3 of 5 (v1)","n":17.5,"id":1732480000123}'
    signs = Signs(b"\n".join([quiet] * 3), TRIGGERS)
    assert (signs.found, signs.rows, signs.named, signs.encoded) == (0, [], False, False)


@each_of("text", PII)
def test_only_the_rows_of_a_kind_are_named(text: str) -> None:
    line = neutralise(to_json({"k": text}))
    signs = Signs(b"\n".join((AWAY, line, AWAY, line)), TRIGGERS)
    assert signs.rows in ([1, 3], [])
    assert signs.rows or signs.found & FREQUENT


AKIA: Final = "AKIA" + "Q7" * 8
ASKED_FOR: Final = {
    "Bearer x": kinds_of.BEARER,
    "BASIC x": kinds_of.BASIC,
    "beArer x": kinds_of.BEARER,
    AKIA: kinds_of.KEY,
    "4111.1111.1111.1111": kinds_of.CARD,
    "10.1.2.3": kinds_of.IPV4,
}
LOOK_ALIKES: Final = ("broadcasting-to-everyone " * 40, "Arial" + "x" * 20, "1234.12 4.1", ".asic Aearer .earer")


@pytest.mark.parametrize("alike", ["", *LOOK_ALIKES])
@each_of("text", list(ASKED_FOR))
def test_each_kind_is_found_after_what_looks_like_it_and_beside_others(text: str, alike: str) -> None:
    line = to_json({"k": f"{alike} {text}"})
    signs = Signs(b"\n".join((AWAY, line, AWAY, line)), TRIGGERS)
    assert signs.found & ASKED_FOR[text]
    assert signs.rows == ([] if text == "10.1.2.3" else [1, 3])
    for other, kind in ASKED_FOR.items():
        row = to_json({"k": f"{text} {alike} {other}"})
        assert Signs(b"\n".join((AWAY, row)), TRIGGERS).found & kind, other


@each_of(
    "number",
    ["4222.2222 2222 2", "4222 2222.2222 2", "4222 2222 2222.2", "3782.822463 10005", "3782 822463.10005",
     "3056.930902 5904", "3056 930902.5904", "4111+1111.1111+1111", "4111\u20131111.1111\u00a01111"],
)  # fmt: skip
def test_a_dot_between_any_two_groups_of_a_card_is_seen(number: str) -> None:
    line = to_json([number])
    assert find_cards(line), number
    check(PLAIN, number)
    assert signs_of_second_row(line).found & kinds_of.CARD


@each_of("alike", LOOK_ALIKES)
def test_what_looks_like_a_kind_is_no_sign(alike: str) -> None:
    signs = Signs(b"\n".join((AWAY, to_json([alike]))), TRIGGERS)
    assert signs.found == 0


@each_of("text", ["http://a:b@c.de", "see //c and bob@x.example: password: x http://a", "2001:db8::7 at http://b@x.de"])
def test_a_url_is_seen_beside_what_else_is_before_a_colon(text: str) -> None:
    signs = signs_of_second_row(to_json({"k": text}))
    assert signs.found & kinds_of.URL
    assert signs.rows == [1]
    assert signs.named == ("password" in text)
    assert bool(signs.found & kinds_of.IPV6) == ("2001" in text)
