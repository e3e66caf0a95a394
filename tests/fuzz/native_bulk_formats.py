"""Bodies of the other formats in bulk: exports of OTLP, Loki's pushes, CSV and lines."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from itertools import starmap
from typing import Final

from logops_fast.formats.media_type import Format
from logops_fast.formats.protobuf_wire import bytes_field, int_field
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.registry import parse
from tests.data.field import loghub
from tests.fuzz.exports import ExportMaker
from tests.fuzz.native_bulk import EVERY, BulkMaker
from tests.fuzz.native_maker import Maker
from tests.fuzz.native_pools import PIECES, Pool, Pools

_SIZES: Final = (1, 3, 20, 100, 200, 300, 500)
_FRONTS: Final = (
    "", "", "2026-03-01T00:00:01Z ERROR ", "2026-03-01 00:00:01,123 ", "[2026-03-01T00:00:01+02:00] ",
    "I0301 00:00:01.000123 7 a.go:1] ", "<134>1 2026-03-01T00:00:01.5Z host app 7 ID - ",
    '<165>1 2026-03-01T00:00:01Z h a - - [x@1 k="v" n="10.1.2.3"] ', "<13>Mar  1 00:00:01 host app[7]: ",
    "Mar  1 00:00:01 host app: ", "2026-03-01T00:00:01.5Z stdout F ", "2026-03-01 00:00:01 WARN host app[7]: ",
    "level=warn ts=2026-03-01T00:00:01Z msg=", '10.1.2.3 - bob [01/Mar/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 ',
    "1764064811 ", "\t", "    at ", "Caused by: ", "[WARN] ", "CRITICAL:",
)  # fmt: skip
_HEADERS: Final = (
    b"ts,level,msg,app", b"time,severity,message,host", b"a,b,c,msg", b"2026-03-01T00:00:01Z,info,a,b",
)  # fmt: skip
_LABELS: Final = (
    {"app": "a", "level": "warn"}, {"job": "j"}, {"host": "10.1.2.3", "service_name": "s"},
    {"level": "INFO", "detected_level": "error"}, {"user": "bob@example.com"},
)  # fmt: skip


class FormatMaker:
    """Makes bodies; the same ones for the same seed."""

    def __init__(self, maker: Maker, pools: Pools, bulk: BulkMaker) -> None:
        self._rng = rng = maker.rng
        self._bulk = bulk
        self._pools = pools
        self._every = 1
        texts = self._texts()
        self._every = 50
        calm = self._texts()
        loggers = [line.text for system in loghub.SYSTEMS for line in loghub.lines(system, 60)]
        self._lines = Pool(rng, _encoded(map(_one_line, texts + loggers)), _encoded(map(_one_line, calm)))
        self._cells = Pool(
            rng, _encoded(_cell(rng, text) for text in texts), _encoded(_cell(rng, text) for text in calm)
        )
        # A record is put together from fields of these: only its own length is written again.
        exports = ExportMaker(rng, lambda: rng.choice(texts))
        number = range(PIECES // 4)
        self._bodies = Pool(
            rng, *([bytes_field(5, bytes_field(1, text)) for text in _encoded(some)] for some in (texts, calm))
        )
        self._attributes = _fields(rng, [exports.attribute(6) if rng.random() < 0.7 else b"" for _ in number])
        self._moments = _fields(rng, [exports.moments() for _ in number])
        self._severities = _fields(rng, [exports.severity() for _ in number])
        self._rest = _fields(rng, [exports.rest() for _ in number])
        self._records = _fields(rng, [exports.record() for _ in number])
        self._exports = exports

    def _take(self, pool: Pool, count: int) -> list[bytes]:
        return pool.take(count, self._every)

    def _strings(self, count: int) -> list[bytes]:
        """Return insides of JSON strings."""
        pools = self._pools
        pieces = zip(*(self._take(pool, count) for pool in (pools.heads, pools.parts, pools.tails)), strict=True)
        return [b"".join(piece) for piece in pieces]

    def _texts(self) -> list[str]:
        return [text for text in map(_decoded, self._strings(PIECES)) if text is not None]

    def export(self) -> tuple[bytes, int]:
        """Return an export of OTLP in protobuf, and how many records it has."""
        rng = self._rng
        self._every = rng.choice(EVERY)
        count = 0
        sections = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            records = self._some_records(rng.choice(_SIZES))
            count += len(records)
            scope = self._exports.scope(records)
            fields = [bytes_field(2, scope)]
            if rng.random() < 0.9:
                fields.insert(rng.randrange(2), bytes_field(1, self._exports.resource()))
            sections.append(bytes_field(1, b"".join(fields)))
        return b"".join(sections), count

    def _some_records(self, count: int) -> list[bytes]:
        """Return records as fields of their scope, about a microsecond each."""
        columns = [
            self._moments.take(count),
            self._severities.take(count),
            self._take(self._bodies, count),
            self._attributes.take(count),
            self._attributes.take(count),
            self._rest.take(count),
        ]
        if self._rng.random() < 0.1:
            self._rng.shuffle(columns)  # fields come in any order
        records = list(map(b"".join, zip(*columns, strict=True)))
        if self._rng.random() < 0.3:
            records[: count // 8] = self._records.take(count // 8)
        return records

    def body(self) -> tuple[bytes, Format, int]:
        """Return a body whose events are parsed in Python, which format it is, and about how many events it has."""
        rng = self._rng
        self._every = rng.choice(EVERY)
        count = rng.choice(_SIZES)
        draw = rng.random()
        if draw < 0.35:
            return b"\n".join(self._framed(count)), Format.SYSLOG if draw < 0.05 else Format.PLAIN, count
        if draw < 0.55:
            return self._rows(count), Format.CSV, count
        if draw < 0.7:
            return self._push(count), Format.LOKI_JSON, count
        if draw < 0.85:
            return self._push_in_protobuf(count), Format.LOKI, count
        return self._export_in_json(count), Format.OTLP_JSON, count

    def _framed(self, count: int) -> list[bytes]:
        """Return lines, most of which begin as one logger writes them."""
        rng = self._rng
        front = rng.choice(_FRONTS).encode()
        lines = [front + line for line in self._take(self._lines, count)]
        if rng.random() < 0.5:
            other = rng.choice(_FRONTS).encode()
            lines[::3] = [other + line for line in self._take(self._lines, len(lines[::3]))]
        return lines

    def _rows(self, count: int) -> bytes:
        rng = self._rng
        header = rng.choice(_HEADERS)
        moments = (b"2026-03-01T00:00:01Z", b"1764064811", b"2026-03-01 00:00:01", b"")
        levels = (b"info", b"ERROR", b"warn", b"", b"unheard of")
        columns = (
            rng.choices(moments, k=count),
            rng.choices(levels, k=count),
            self._take(self._cells, count),
            self._take(self._cells, count),
        )
        rows = map(b",".join, zip(*columns, strict=True))
        return b"\n".join([header, *rows])

    def _push(self, count: int) -> bytes:
        entry = b'["%d","%b"%b]'
        metadata = self._rng.choice((b"", b"", b',{"request_id":"1","client_ip":"10.1.2.3"}'))
        start = 1_764_064_811_000_000_000
        entries = [entry % (start + place, line, metadata) for place, line in enumerate(self._strings(count))]
        labels = json.dumps(self._rng.choice(_LABELS)).encode()
        return b'{"streams":[{"stream":' + labels + b',"values":[' + b",".join(entries) + b"]}]}"

    def _push_in_protobuf(self, count: int) -> bytes:
        labels = "{" + ", ".join(f'{name}="{value}"' for name, value in self._rng.choice(_LABELS).items()) + "}"
        lines = self._take(self._lines, count) if self._rng.random() < 0.8 else self._bulk.events(count)
        metadata = self._rng.choice((b"", bytes_field(3, bytes_field(1, b"trace_id") + bytes_field(2, b"10.1.2.3"))))
        entries = [
            bytes_field(
                2, bytes_field(1, int_field(1, 1_764_064_811) + int_field(2, place)) + bytes_field(2, line) + metadata
            )
            for place, line in enumerate(lines)
        ]
        return bytes_field(1, bytes_field(1, labels.encode()) + b"".join(entries))

    def _export_in_json(self, count: int) -> bytes:
        record = (
            b'{"timeUnixNano":"%d","severityNumber":%d,"severityText":"%b","body":{"stringValue":"%b"},"attributes":['
            b'{"key":"http.method","value":{"stringValue":"GET"}},{"key":"n","value":{"intValue":"%d"}}]}'
        )
        rng = self._rng
        levels = rng.choices((b"INFO", b"Warning", b"", b"ERROR2", b"odd"), k=count)
        numbers = rng.choices(range(26), k=count)
        records = starmap(
            lambda place, number, level, text: record % (1_764_064_811_000_000_000 + place, number, level, text, place),
            zip(range(count), numbers, levels, self._strings(count), strict=True),
        )
        return (
            b'{"resourceLogs":[{"resource":{"attributes":[]},"scopeLogs":[{"logRecords":['
            + b",".join(records)
            + b"]}]}]}"
        )


def _fields(rng: random.Random, fields: list[bytes]) -> Pool:
    """Return a pool of fields of a record: of what no record can have one alone would spoil a body of hundreds."""

    def is_readable(field: bytes) -> bool:
        body = bytes_field(1, bytes_field(2, bytes_field(2, field)))
        try:
            return not parse(Format.OTLP, body, 0.0).faults
        except MalformedBody:
            return False

    return Pool(rng, [field for field in fields if is_readable(field)])


def _encoded(texts: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8", "replace") for text in texts]


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")


def _decoded(text: bytes) -> str | None:
    try:
        return str(json.loads(b'"' + text + b'"', strict=False))
    except ValueError:
        return None


def _cell(rng: random.Random, text: str) -> str:
    """Return a text as a cell of CSV."""
    if any(mark in text for mark in '",\r\n') or rng.random() < 0.1:
        return '"' + text.replace('"', '""') + '"'
    return text
