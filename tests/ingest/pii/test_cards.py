from __future__ import annotations

from logops_fast.ingest.pii.cards import find_cards
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
