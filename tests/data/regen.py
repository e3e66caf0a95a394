"""Writes the golden outputs again: ``python -m tests.data.regen``; then review the diff line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.formats.batch import Batch
from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.registry import parse
from logops_fast.ingest.rejected import rejected_lines

DATA: Final = Path(__file__).parent
GOLDEN: Final = DATA / "golden"
NOW: Final = 1741003200.0  # 2025-03-03T12:00:00Z: settles the years of RFC 3164

CORPUS: Final = {
    "events.json": Format.JSON,
    "events.ndjson": Format.NDJSON,
    "events.csv": Format.CSV,
    "events_no_header.csv": Format.CSV,
    "events.log": Format.PLAIN,
    "events_loki.json": Format.LOKI_JSON,
    "events_loki.pb": Format.LOKI,  # the same push
    "events_otlp.json": Format.OTLP_JSON,
    "events_otlp.pb": Format.OTLP,
}


def golden_path(name: str) -> Path:
    """Where the golden parse output of a corpus file stands."""
    return GOLDEN / f"parsed_{name.replace('.', '_')}.json"


def parsed(name: str) -> bytes:
    """What the parser makes of a corpus file, as JSON with one event or fault a line."""
    result = parse(CORPUS[name], (DATA / name).read_bytes(), NOW)
    return b'{"events":[\n%b\n],"faults":[\n%b\n]}\n' % (
        b",\n".join(orjson.dumps(event, default=list) for event in result.events),
        b",\n".join(orjson.dumps(_as_dict(fault)) for fault in result.faults),
    )


def stored_path(name: str) -> Path:
    """Where the golden lines of a corpus file stand."""
    return GOLDEN / f"stored_{name.replace('.', '_')}.ndjson"


def stored(name: str) -> bytes:
    """The lines that a corpus file becomes in the sink, masked, and those of its unreadable events."""
    result = parse(CORPUS[name], (DATA / name).read_bytes(), NOW)
    normaliser = Normaliser()
    normalised = normaliser.run(result.events, emitter="web", scenario_id="golden", received_at=NOW)
    batch = Batch(b"", CORPUS[name], "web", "golden", "golden-1", False, 0.0)
    return normalised.lines + rejected_lines(batch, result.faults, normaliser.mask_text, NOW)


def _as_dict(fault: Any) -> dict[str, Any]:
    fields: dict[str, Any] = fault._asdict()
    return fields


if __name__ == "__main__":
    for corpus_file in CORPUS:
        golden_path(corpus_file).write_bytes(parsed(corpus_file))
        stored_path(corpus_file).write_bytes(stored(corpus_file))
