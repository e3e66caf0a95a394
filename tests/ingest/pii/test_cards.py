from __future__ import annotations

from logops_fast.ingest.pii.cards import find_cards
from logops_fast.ingest.pii.masker import Masker
from tests.ingest.pii.support import cut
from tests.support.tables import each_of


@each_of(
    ("text", "masked"),
    [
        (b'{"k":"4111111111111111decadefaces"}', b'{"k":"************1111decadefaces"}'),  # a word: `s` is no digit
        (b'{"k":"4111111111111111decadeface"}', b'{"k":"4111111111111111decadeface"}'),  # an identifier in hex
        (b'{"k":"seafaced4111111111111111"}', b'{"k":"seafaced************1111"}'),
        (b'{"k":"4111111111111111beg"}', b'{"k":"************1111beg"}'),
    ],
)
def test_letters_beside_a_number_are_a_label_or_make_it_an_identifier(text: bytes, masked: bytes) -> None:
    assert cut(text, find_cards(text)) == masked


@each_of(
    ("text", "masked"),
    [
        ("[4111111111111111,1]", '["************1111",1]'),
        ('{"a":[1, 4111111111111111]}', '{"a":[1, "************1111"]}'),
        ('{"a":4111111111111111}', '{"a":"************1111"}'),
        ('{"a":4111111111111111.00}', '{"a":"************1111"}'),
        ('{"a":4111111111111111.5,"b":5555555555554444E+2}', '{"a":4111111111111111.5,"b":5555555555554444E+2}'),
        ("[4111111111111111] was paid", "[************1111] was paid"),
        ("paid 4111111111111111.", "paid ************1111."),
    ],
)
def test_json_text_stays_json(text: str, masked: str) -> None:
    assert Masker().mask_text(text) == masked
