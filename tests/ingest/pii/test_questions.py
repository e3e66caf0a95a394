"""The short cuts: what is asked before a text is masked never says "none" where there is one."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logops_fast.ingest.pii.addresses import mask_ipv4
from logops_fast.ingest.pii.cards import mask_cards, may_hold_cards
from logops_fast.ingest.pii.emails import mask_emails
from logops_fast.ingest.pii.escapes import neutralise
from logops_fast.ingest.pii.folded import fold
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pii.tokens import mask_tokens
from logops_fast.ingest.serialiser import to_json, to_lines
from tests.ingest.pii import reference
from tests.ingest.pii.strategies import CARDS, texts

# What stands right next to a number, and may be masked before the number is looked at.
near_cards = st.lists(
    st.one_of(
        st.sampled_from(CARDS),
        st.sampled_from(["4", "41", "4111", "111111", "1111 1", "4111 1111 1111 ", "41111111111111111111", " ", "-"]),
        st.sampled_from(["@x.com", "%40x.com", "Bearer ", "Bearer%20", "eyJ", "eyJa.b.", ".", "=", "abc", "fade", "x"]),
    ),
    max_size=8,
).map("".join)


@settings(max_examples=300)
@given(st.one_of(near_cards, texts))
@example("4111 1111 1111 111123@x.com")
@example("Bearer%204111111111111111")
@example("\x005555 5555-5555 4444")
def test_a_card_that_stands_after_the_other_masks_was_seen_before_them(text: str) -> None:
    neutral = neutralise(to_json([text]))
    folded = fold(neutral)
    masked = mask_emails(mask_emails(mask_tokens(neutral, folded)[0])[0], b"%40")[0]
    if mask_cards(masked)[1] or mask_cards(neutral)[1]:
        assert may_hold_cards(neutral, folded)


def test_times_and_identifiers_are_not_taken_for_cards() -> None:
    text = to_json(
        [1700000000000, 1700000000000000000, "41234567-4123-8123-9b23-412345678901", "9" * 40, 4111111111111112]
    )
    assert not may_hold_cards(text, fold(text))


bearers = st.lists(
    st.sampled_from(
        ["bearer", "Bearer", "BEARER", "bEARER", "BearER", "b", "B", " ", "=", "%20", "x", "earer", "EARER"]
    ),
    max_size=8,
).map("".join)


@settings(max_examples=300)
@given(bearers)
@example("BEARER Bearer xyz")
@example("bearer BEARER xyz")
@example("bEARER x")
def test_bearer_tokens_in_any_mixture_of_cases_are_masked_as_the_reference_masks_them(text: str) -> None:
    neutral = neutralise(to_json([text]))
    masked, _, _ = mask_tokens(neutral, fold(neutral))
    assert masked == neutralise(to_json([reference.tokens(text)]))


# Long enough to lie behind what is looked at after a hit.
tails = st.one_of(
    texts, st.sampled_from(["", "x" * 63, "x" * 64, "x" * 65, "x" * 200, " 1.2.3.4", " a@", "@", " b@c.org"])
)


@settings(max_examples=300)
@given(st.tuples(texts, tails).map("".join), st.tuples(texts, tails).map("".join))
@example("a@b.co x@ y", "")
@example("10.1.2.3" + "x" * 65, "10.1.2.3")
@example("a", "10.1.2.3" + "x" * 65)
def test_a_hit_in_a_key_is_told_from_one_in_a_value(key: str, value: str) -> None:
    text = neutralise(orjson.dumps({key: value}))
    name = neutralise(to_json(key))
    assert mask_emails(text)[2] == (mask_emails(name)[1] > 0)
    assert mask_emails(text, b"%40")[2] == (mask_emails(name, b"%40")[1] > 0)
    if b".x.x" not in name:
        assert mask_ipv4(text)[2] == (mask_ipv4(name)[1] > 0)


@pytest.mark.parametrize("tail", [" x@ y", "@", "x" * 64, " " + "x" * 200])
@pytest.mark.parametrize("keys", [("ab@b.co", "ac@b.co"), ("10.1.2.3", "10.1.2.4")])
def test_keys_that_become_the_same_stay_two_keys_whatever_follows_in_them(keys: tuple[str, str], tail: str) -> None:
    event = {key + tail: index for index, key in enumerate(keys)}
    stored = orjson.loads(Masker().mask_lines(to_lines([event]), [event], {}))
    assert list(stored.values()) == [0, 1]
