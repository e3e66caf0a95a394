"""Events that could not be read: one line each in the rejected files, masked, so that nothing is lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

import orjson

from logops_fast.formats.batch import Batch
from logops_fast.ingest.parsers.base import Fault


def rejected_lines(batch: Batch, faults: Iterable[Fault], mask: Callable[[str], str], received_at: float) -> bytes:
    """Return the lines of a batch's faults; ``mask`` masks a text, ``received_at`` is wall time in epoch seconds."""
    ts = rfc3339(received_at)
    tenant: dict[str, str | int] = {"tenant": mask(batch.tenant)} if batch.tenant else {}
    return b"".join(
        _line(
            {
                "ts": ts,
                "emitter": batch.emitter,
                "scenario_id": batch.scenario_id,
                "batch_id": batch.batch_id,
                **tenant,
                "index": fault.index,
                "reason": fault.reason,
                "text": mask(fault.text),
            }
        )
        for fault in faults
    )


def rfc3339(wall: float) -> str:
    """Return wall time in epoch seconds as RFC 3339 in UTC, with milliseconds and ``Z``."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(event: dict[str, str | int]) -> bytes:
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # A lone surrogate, which UTF-8 cannot encode, is written as the escape it came as.
        event["text"] = str(event["text"]).encode("utf-8", "backslashreplace").decode()
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
