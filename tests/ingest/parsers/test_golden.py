from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.registry import parse
from tests.data.regen import CORPUS, DATA, NOW, golden_path
from tests.data.regen import parsed as parsed_file
from tests.formats.bodies import any_body
from tests.ingest.parsers.support import outcome
from tests.support.tables import each_of

REASONS = {
    Format.JSON: {"empty", "malformed", "otlp_not_supported"},
    Format.NDJSON: {"empty", "otlp_not_supported"},
    Format.CSV: {"empty"},
    Format.PLAIN: {"empty"},
    Format.LOKI: {"empty", "malformed"},
    Format.LOKI_JSON: {"empty", "malformed"},
    Format.SYSLOG: {"empty"},
    Format.SYSLOG_UDP: {"empty"},
    Format.OTLP: {"malformed"},
    Format.OTLP_JSON: {"empty", "malformed"},
}
# Their messages are read as lines of plain text are.
AS_PLAIN = frozenset({Format.SYSLOG, Format.SYSLOG_UDP})


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_parses_as_reviewed(name: str) -> None:
    golden = golden_path(name).read_bytes()
    assert json.loads(parsed_file(name)) == json.loads(golden)
    assert parsed_file(name) == golden


@each_of("format", Format)
def test_each_format_has_a_corpus_of_sixty_events(format: Format) -> None:
    of = Format.PLAIN if format in AS_PLAIN else format
    bodies = [(DATA / name).read_bytes() for name in CORPUS if CORPUS[name] is of]
    assert sum(len(parse(format, body, NOW).events) for body in bodies) >= 60


@given(st.sampled_from(Format), any_body)
def test_nothing_is_raised_but_a_refusal(format: Format, body: bytes) -> None:
    parsed = outcome(lambda: parse(format, body, NOW))
    if isinstance(parsed, MalformedBody):
        assert parsed.reason in REASONS[format]
        assert parsed.detail.endswith(".")
    else:
        # An export may be empty, also as a line or an element.
        assert parsed.events or parsed.faults or format not in (Format.PLAIN,)
