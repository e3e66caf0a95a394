"""The answer to a stored batch (SPEC 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from logops_fast.formats.batch import Batch
from logops_fast.ingest.normaliser import Normalised
from logops_fast.ingest.parsers.base import Fault

MAX_ERRORS: Final = 50
"""Errors listed in an answer; all are counted."""


def summarise(batch: Batch, normalised: Normalised, faults: Sequence[Fault], *, stored: bool) -> bytes:
    """The summary as JSON; ``"stored": false`` is said where the sink is switched off."""
    summary: dict[str, Any] = {
        "accepted": normalised.count,
        "rejected": len(faults),
        "missing_ts": normalised.missing_ts,
        "missing_level": normalised.missing_level,
        "levels": normalised.levels,
        "emitter": batch.emitter,
        "scenario_id": batch.scenario_id,
        "batch_id": batch.batch_id,
        "errors": [{"index": fault.index, "reason": fault.reason} for fault in faults[:MAX_ERRORS]],
    }
    if not stored:
        summary["stored"] = False
    return orjson.dumps(summary)
