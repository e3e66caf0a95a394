"""The one door to the parsers."""

from __future__ import annotations

from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers import csv_rows, json_array, ndjson, plain
from logops_fast.ingest.parsers.base import Parsed


def parse(format: Format, body: bytes, now: float) -> Parsed:
    """The events and faults of a decoded body; ``now`` in epoch seconds, for dates that come without a year.

    Raises:
        base.MalformedBody: the body as a whole is refused. Nothing else is ever raised, whatever the bytes.
    """
    if format is Format.NDJSON:
        return ndjson.parse(body)
    if format is Format.JSON:
        return json_array.parse(body)
    if format is Format.CSV:
        return csv_rows.parse(body)
    return plain.parse(body, now)
