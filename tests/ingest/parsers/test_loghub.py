"""The sixteen systems of loghub, 2,000 lines each: what is read, and that nothing is read wrongly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.registry import parse
from tests.data.field.loghub import SYSTEMS, Line, lines
from tests.support.examples import thorough

STEP: Final = 1 if thorough() else 4
COUNT: Final = 2000 // STEP
NOW: Final = datetime(2026, 11, 25, 10, tzinfo=UTC).timestamp()
WITH_A_TIME: Final = frozenset(
    (
        "Android",
        "Apache",
        "BGL",
        "Hadoop",
        "HealthApp",
        "Linux",
        "Mac",
        "OpenSSH",
        "Thunderbird",
        "Windows",
        "ZooKeeper",
    )
)


def stored(made: list[Line]) -> tuple[list[dict[str, Any]], int, int]:
    body = "\n".join(line.text for line in made).encode()
    events = parse(Format.PLAIN, body, NOW).events
    result = Normaliser(mask=False).run(events, emitter="web", scenario_id="na", received_at=NOW)
    return [json.loads(line) for line in result.lines.splitlines()], result.missing_ts, result.missing_level


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_time_and_level_is_the_lines_own(system: str) -> None:
    made = lines(system)[::STEP]
    events, missing_ts, missing_level = stored(made)
    wrong = [
        (line.text, event["ts"], event["level"])
        for line, event in zip(made, events, strict=True)
        if (line.ts is not None and event["ts"] != line.ts) or event["level"] != (line.level or "INFO")
    ]
    assert wrong == []
    assert missing_ts == sum(line.ts is None for line in made) == (0 if system in WITH_A_TIME else COUNT)
    assert missing_level == sum(line.level is None for line in made)


def test_more_than_half_of_all_lines_have_a_level() -> None:
    """As the levels above are right, those of the corpus need only be counted."""
    made = [line for system in SYSTEMS for line in lines(system)[::STEP]]
    assert sum(line.level is not None for line in made) >= len(made) / 2
