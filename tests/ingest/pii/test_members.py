from __future__ import annotations

from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.members import Members
from logops_fast.ingest.pii.names import NameRules
from logops_fast.ingest.pii.triggers import endings_of
from tests.ingest.pii.support import cut


def members(*fields: str, keep: tuple[str, ...] = ()) -> Members:
    rules = NameRules(fields, keep)
    endings = endings_of(rules)
    assert endings is not None
    return Members(rules, endings)


def test_fields_and_secrets_are_counted_each() -> None:
    text = b'{"password":"a","pin":"1","b":{"token":"c","pin":[1,2]}}'
    cuts, fields, secrets, kept = members("pin").cuts(text)
    assert cut(text, cuts) == b'{"password":"***","pin":"***","b":{"token":"***","pin":"***"}}'
    assert (fields, secrets, kept) == (2, 2, [])


def test_a_member_inside_a_masked_value_is_part_of_it() -> None:
    text = b'{"pin":{"pin":"1","password":"a"},"pin":"2"}'
    cuts, fields, secrets, _ = members("pin").cuts(text)
    assert cut(text, cuts) == b'{"pin":"***","pin":"***"}'
    assert (fields, secrets) == (2, 0)


def test_the_place_of_a_constant_is_no_value() -> None:
    text = b'{"pin":"1","emitter":' + PLACES[0] + b',"n":1}'
    cuts, fields, _, _ = members("pin", "emitter").cuts(text)
    assert cut(text, cuts) == text.replace(b'"1"', b'"***"')
    assert fields == 1


def test_a_kept_value_is_kept_but_for_the_fields_in_it() -> None:
    text = b'{"raw":{"password":"a","pin":"1"},"password":"b"}'
    cuts, fields, secrets, kept = members("pin", keep=("raw",)).cuts(text)
    assert cut(text, cuts) == b'{"raw":{"password":"a","pin":"***"},"password":"***"}'
    assert (fields, secrets) == (1, 1)
    assert [text[start:end] for start, end in kept] == [b'{"password":"a","pin":"1"}']
