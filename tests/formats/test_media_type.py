from __future__ import annotations

from logops_fast.formats.media_type import Format, format_of
from tests.support.tables import each_of


@each_of(
    ("content_type", "expected"),
    [
        (None, Format.JSON),
        (b"", Format.JSON),
        (b"application/json", Format.JSON),
        (b"Application/JSON", Format.JSON),
        (b"application/json; charset=utf-8", Format.JSON),
        (b"application/json;charset=latin-1", Format.JSON),
        (b" application/json ; a=b", Format.JSON),
        (b"application/x-ndjson", Format.NDJSON),
        (b"application/ndjson", Format.NDJSON),
        (b"application/jsonl", Format.NDJSON),
        (b"application/jsonlines", Format.NDJSON),
        (b"application/x-jsonlines", Format.NDJSON),
        (b"application/x-json-stream", Format.JSON),
        (b"application/cloudevents+json", Format.JSON),
        (b"Application/Vnd.Api+JSON; charset=utf-8", Format.JSON),
        (b"text/tab-separated-values", Format.CSV),
        (b"text/csv; header=present", Format.CSV),
        (b"TEXT/PLAIN", Format.PLAIN),
    ],
)
def test_a_known_content_type_names_its_format(content_type: bytes | None, expected: Format) -> None:
    assert format_of(content_type) is expected


@each_of(
    "content_type",
    [
        b"application/xml",
        b"text",
        b"application/json, text/csv",
        b"\xff",
        b"*/*",
        b"text/x+json",
        b"application/a, b+json",
    ],
)
def test_any_other_content_type_names_none(content_type: bytes) -> None:
    assert format_of(content_type) is None


def test_labels_differ() -> None:
    bodies = {"json", "ndjson", "csv", "plain", "otlp", "otlp_json", "loki", "loki_json"}
    assert {known.label for known in Format} == bodies | {"syslog", "syslog_udp"}
