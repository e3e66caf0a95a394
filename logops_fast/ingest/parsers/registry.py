"""The one door to the parsers."""

from __future__ import annotations

from datetime import UTC, tzinfo

from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers import csv_rows, json_array, ndjson, plain
from logops_fast.ingest.parsers.base import Parsed


def parse(format: Format, body: bytes, now: float, zone: tzinfo = UTC, multiline: bool = False) -> Parsed:
    """Return the events and faults of a decoded body.

    ``now`` (epoch seconds) is for dates that come without a year, ``zone`` for times of plain text that come without
    one. With ``multiline`` the continuation lines of plain text are joined to the event before them.

    Raises:
        base.MalformedBody: the body as a whole is refused. Nothing else is ever raised, whatever the bytes.
    """
    if format is Format.NDJSON:
        return ndjson.parse(body)
    if format is Format.JSON:
        return json_array.parse(body)
    if format is Format.CSV:
        return csv_rows.parse(body)
    return plain.parse(body, now, zone, multiline)
