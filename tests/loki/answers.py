"""The JSON of an answer to ``query_range``.

Source: pkg/util/marshal/query.go, encodeStreams; pkg/util/httpreq/encoding_flags.go for ``categorize-labels``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.loki.store import Stored, parse_labels


def query_body(entries: Iterable[Stored], *, categorized: bool) -> bytes:
    """Entries by stream. Metadata are labels of the stream, or with the flag a third member of each value."""
    streams: dict[str, tuple[dict[str, str], list[list[object]]]] = {}
    for entry in entries:
        labels = parse_labels(entry.labels) or {}
        value: list[object] = [str(entry.ns), entry.line]
        if categorized:
            value.append({"structuredMetadata": dict(entry.metadata)} if entry.metadata else {})
        else:
            labels |= dict(entry.metadata)
        streams.setdefault(json.dumps(labels, sort_keys=True), (labels, []))[1].append(value)
    result = [{"stream": labels, "values": values} for labels, values in streams.values()]
    body: dict[str, object] = {"resultType": "streams", "result": result}
    if categorized:
        body["encodingFlags"] = ["categorize-labels"]
    return json.dumps({"status": "success", "data": body}).encode()
