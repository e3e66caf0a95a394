"""What was once lost, doubled or unfindable between the files and Loki, through gateway and shipper as processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from logops_fast.config.sections.ship import ShipSettings
from logops_fast.shipper.entries import rfc3339_ns
from tests.faults.shipping import Way, way
from tests.loki.store import HOUR, SECOND, Stored
from tests.support.gateway import request

pytestmark = [pytest.mark.process, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """A way whose clients have stopped; the tests send what they need."""
    with way(tmp_path_factory.mktemp("way"), back=5 * HOUR) as made:
        made.one.load.stop()
        made.arrived()
        yield made


def send(quiet: Way, events: list[Any]) -> None:
    answer = quiet.one.gateway.send(events)
    assert answer.status == 200, answer
    assert answer.json["accepted"] == len(events)


def found(quiet: Way, word: str, count: int) -> list[Stored]:
    """Wait for the entries with a word in their line, and until everything else is shipped too."""
    entries: list[Stored] = []

    def there() -> bool:
        entries[:] = [entry for entry in quiet.loki.entries() if word in entry.line]
        return len(entries) >= count

    quiet.until(there, 0.1)
    assert len(entries) == count
    return entries


def labels(quiet: Way, entry: Stored) -> dict[str, str]:
    return quiet.loki.store.streams[entry.labels].labels


def test_ten_equal_events_without_a_time_in_one_batch_are_ten_in_loki(quiet: Way) -> None:
    send(quiet, [{"msg": "the same"}] * 10)
    entries = found(quiet, "the same", 10)
    assert len({dict(entry.metadata)["seq"] for entry in entries}) == 10


def test_ten_equal_events_of_one_time_are_ten_in_loki(quiet: Way) -> None:
    send(quiet, [{"msg": "a twin", "ts": rfc3339_ns(quiet.loki.store.wall())}] * 10)
    entries = found(quiet, "a twin", 10)
    assert len({entry.line for entry in entries}) == 1
    assert len({entry.ns for entry in entries}) == 10


def test_an_event_that_says_it_is_rejected_is_among_the_events(quiet: Way) -> None:
    send(quiet, [{"msg": "forged", "source": "rejected", "stream": "rejected"}])
    (entry,) = found(quiet, "forged", 1)
    assert labels(quiet, entry)["stream"] == "events"
    assert dict(entry.metadata)["source"] == "rejected"


def test_5200_application_names_make_no_stream_and_stop_nobody(quiet: Way) -> None:
    send(quiet, [{"msg": "before", "level": "INFO"}])
    found(quiet, "before", 1)
    streams = len({entry.labels for entry in quiet.loki.entries()})
    send(quiet, [{"msg": "invented", "app": f"app-{number}", "level": "INFO"} for number in range(5200)])
    entries = found(quiet, "invented", 5200)
    assert len({dict(entry.metadata)["app"] for entry in entries}) == 5200
    send(quiet, [{"msg": "of another client", "level": "INFO"}])
    found(quiet, "of another client", 1)
    # Each of the two workers may have been given one that it had not before.
    assert len({entry.labels for entry in quiet.loki.entries()}) <= streams + 2 * quiet.loki.store.limits.shards


def test_an_event_four_hours_old_in_a_new_stream_is_found_at_once(quiet: Way) -> None:
    now = quiet.loki.store.wall()
    # Nothing else in these tests has this level, so that its stream is new.
    send(quiet, [{"msg": "an old one", "level": "FATAL", "ts": rfc3339_ns(now - 4 * HOUR)}])
    found(quiet, "an old one", 1)
    query = urlencode(
        {
            "query": f'{{level="FATAL", instance=~"{quiet.loki.machine}-.*"}}',
            "start": now - 5 * HOUR,
            "end": now - 3 * HOUR,
            "limit": 10,
        }
    )
    answer = request(urlsplit(quiet.loki.url).port or 0, "GET", f"/loki/api/v1/query_range?{query}")
    ((ns, line, *_),) = (value for stream in answer.json["data"]["result"] for value in stream["values"])
    assert json.loads(line)["msg"] == "an old one"
    assert abs(int(ns) - (now - 4 * HOUR)) < SECOND


def test_30000_events_while_loki_is_away_and_the_shipper_restarted(quiet: Way) -> None:
    # Of the default size: what was written before a crash is asked for before each push, and the small batches of the
    # other tests would make that a thousand requests.
    quiet.one.environment["LOGOPS_SHIP__BATCH_BYTES"] = str(ShipSettings().batch_bytes)
    quiet.loki.away()
    for batch in range(3):
        send(quiet, [{"msg": "patient", "n": batch * 10_000 + number} for number in range(10_000)])
        quiet.until(lambda: quiet.one.readyz() == "loki_unreachable")  # it has read them, and tried
        quiet.one.kill()
        quiet.one.ship()
    quiet.loki.back()
    entries = found(quiet, "patient", 30_000)
    assert Counter(json.loads(entry.line)["n"] for entry in entries) == Counter(range(30_000))


def test_all_lines_are_there_once(quiet: Way) -> None:
    quiet.settle()
