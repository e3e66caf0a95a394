from __future__ import annotations

from logops_fast.ingest.pii.names import NameRules
from logops_fast.ingest.pii.pairs import Pairs
from logops_fast.ingest.pii.triggers import endings_of
from tests.ingest.pii.support import cut
from tests.support.tables import each_of


def pairs(*fields: str) -> Pairs:
    rules = NameRules(fields)
    endings = endings_of(rules)
    assert endings is not None
    return Pairs(rules, endings)


@each_of(
    ("text", "masked"),
    [
        (b'"m":"the \'password\'=hunter2 x"', b'"m":"the \'password\'=*** x"'),
        (b'"m":"the password\'=hunter2 x"', b'"m":"the password\'=*** x"'),  # its first quote was cut off
        (b'"m":"password::hunter2 x"', b'"m":"password::hunter2 x"'),
        (b'"m":"password := hunter2 x"', b'"m":"password := *** x"'),
    ],
)
def test_the_value_beside_a_name_is_masked(text: bytes, masked: bytes) -> None:
    cuts, fields, secrets = pairs().cuts(text)
    assert cut(text, cuts) == masked
    assert (fields, secrets) == (0, int(text != masked))
