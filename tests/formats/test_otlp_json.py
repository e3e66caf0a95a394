from __future__ import annotations

import pytest

from logops_fast.formats.batch import BatchHead
from logops_fast.formats.json_text import BrokenJsonError
from logops_fast.formats.media_type import Format
from logops_fast.formats.otlp_json import Cutter, TooManySectionsError, count, is_export
from logops_fast.formats.pieces import PieceKind
from logops_fast.ingest.parsers.registry import parse
from tests.support.tables import each_of


@each_of(
    "body",
    [
        b'{"resourceLogs":[]}',
        b' {"resource_logs" : [ ]}',
        b'\xef\xbb\xbf\n{"resourceLogs":[{}]}',
        b'{"resourceLogs":null}',
    ],
)
def test_an_export_is_known_by_its_first_member(body: bytes) -> None:
    assert is_export(body)
    assert count(body) == 0
    assert parse(Format.OTLP_JSON, body, 0.0) == ([], [])


@each_of("body", [b"", b"[]", b"{}", b'[{"resourceLogs":[]}]', b'{"resourceLogs":"x"}', b'{"a":1}'])
def test_anything_else_is_none(body: bytes) -> None:
    assert not is_export(body)


def test_the_format_of_a_batch_of_json_is_settled_by_its_body() -> None:
    head = BatchHead.of({b"content-type": b"application/json"})
    assert head.settled(b'{"resourceLogs":[]}').format is Format.OTLP_JSON
    assert head.settled(b"[]") is head
    lines = BatchHead.of({b"content-type": b"application/x-ndjson"})
    assert lines.settled(b'{"resourceLogs":[]}') is lines


RECORDS = b'{"scope":{"name":"s"},"logRecords":[1,{"a":[]} , "xxxxxxxxxxxxxxxxxxxx",{}]}'


def test_groups_say_where_their_sections_are() -> None:
    text = b'{"resourceLogs":[{"scopeLogs":[%b],"resource":{"r":1},"schemaUrl":"u"}]}' % RECORDS
    cutter = Cutter(text, 12, 10)
    groups = [group for group in cutter.groups() if group.piece.kind is not PieceKind.NOTHING]
    assert [(group.piece.kind, group.piece.text) for group in groups] == [
        (PieceKind.ITEMS, b'[1,{"a":[]} ]'),
        (PieceKind.TOO_LARGE, b'"xxxxxxxxxxxxxxxxxxxx"'),
        (PieceKind.ITEMS, b"[{}]"),
    ]
    for group in groups:
        assert text[slice(*group.resource)] == b'{"r":1}'
        assert text[slice(*group.resource_url)] == b'"u"'
        assert text[slice(*group.scope)] == b'{"name":"s"}'
        assert group.scope_url == (0, 0)


@each_of(
    "text",
    [
        b'{"resourceLogs":[{]}',
        b'{"resourceLogs":[{}}',
        b'{"resourceLogs":[{}],}',
        b'{"resourceLogs":[{}],"a"}',
        b'{"resourceLogs":[{}],"a":01}',
        b'{"resourceLogs":[[]]}',
        b'{"resourceLogs":{}}',
        b'{"resourceLogs":[],"%b":1}' % (b"a" * 5000),
        b'{"resourceLogs":[]',
    ],
)
def test_what_is_no_export_is_broken(text: bytes) -> None:
    with pytest.raises(BrokenJsonError):
        list(Cutter(text, 100, 10).groups())


def test_sections_are_bounded() -> None:
    with pytest.raises(TooManySectionsError):
        list(Cutter(b'{"resourceLogs":[%b]}' % b",".join([b"{}"] * 11), 100, 10).groups())
