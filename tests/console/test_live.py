from __future__ import annotations

from collections.abc import Mapping

import pytest

from logops_fast.config.slo import load_slo
from logops_fast.console import charts
from logops_fast.console.live import LATENCY_WINDOW, SECONDS, Check, Moment, Timeline, health
from logops_fast.console.monitor import Monitor
from logops_fast.telemetry.overview import History, Overview, Reading
from logops_fast.telemetry.scrape import Scrape, parse

WALL = 1_800_000_000.0
SLO = load_slo()


def scrape(at: float, **counts: float) -> Scrape:
    """A scrape with these counts; ``fast`` and ``slow`` are batches of up to 5 ms and up to 1 s."""
    fast, slow = counts.get("fast", 0.0), counts.get("slow", 0.0)
    lines = [
        'logops_build_info{version="0.5.0",build="compiled"} 1',
        f'logops_accepted_total{{emitter="web",scenario_id="na"}} {counts.get("stored", 0)}',
        f'logops_parse_errors_total{{emitter="web",format="json"}} {counts.get("unreadable", 0)}',
        f'logops_ratelimit_denied_events_total{{emitter="csv"}} {counts.get("denied", 0)}',
        f'logops_rejected_total{{gateway="auth",reason="replay",emitter="web"}} {counts.get("replay", 0)}',
        f'logops_rejected_total{{gateway="auth",reason="rate_limited",emitter="csv"}} {counts.get("limited", 0)}',
        f'logops_batch_latency_seconds_bucket{{emitter="web",le="0.005"}} {fast}',
        f'logops_batch_latency_seconds_bucket{{emitter="web",le="1.0"}} {fast + slow}',
        f'logops_batch_latency_seconds_bucket{{emitter="web",le="+Inf"}} {fast + slow}',
    ]
    return parse("\n".join(lines) + "\n", at)


def test_offered_is_accepted_and_denied_and_stored_is_what_can_be_read() -> None:
    timeline = Timeline()
    timeline.add(scrape(0.0), WALL)
    assert timeline.latest is None  # one reading is no rate
    timeline.add(scrape(2.0, stored=200, unreadable=20, denied=60, replay=4, limited=2), WALL + 2)
    now = timeline.latest
    assert now is not None
    assert (now.at, now.offered, now.accepted, now.stored, now.refused) == (WALL + 2, 140.0, 110.0, 100.0, 3.0)
    assert (now.p50, now.p95, now.p99) == (None, None, None)
    assert timeline.refusals() == [("replay", 4.0), ("rate_limited", 2.0)]


def test_percentiles_are_of_the_last_seconds() -> None:
    timeline = Timeline()
    for second in range(30):
        slow = 100.0 if second >= 5 else 0.0
        timeline.add(scrape(float(second), fast=10.0 * second, slow=slow), WALL + second)
    moments = [moment for moment in timeline.moments if moment is not None]
    assert moments[5].p99 is not None
    assert moments[5].p99 > 0.9
    assert moments[-1].p99 is not None  # the slow ones are more than LATENCY_WINDOW ago
    assert moments[-1].p99 <= 0.005
    assert LATENCY_WINDOW < 24


def test_a_gateway_that_starts_again_is_no_negative_rate() -> None:
    timeline = Timeline()
    timeline.add(scrape(0.0, stored=1000, replay=9), WALL)
    timeline.add(scrape(1.0, stored=30, replay=1), WALL + 1)
    now = timeline.latest
    assert now is not None
    assert (now.stored, now.refused) == (30.0, 1.0)


def test_what_could_not_be_read_is_a_gap_and_no_slow_second() -> None:
    timeline = Timeline()
    timeline.add(scrape(0.0), WALL)
    timeline.add(scrape(1.0, stored=10), WALL + 1)
    timeline.fail()
    timeline.fail()
    assert timeline.latest is None
    timeline.add(scrape(60.0, stored=1000), WALL + 60)  # spread over the gap this would be a lie
    timeline.add(scrape(61.0, stored=1050), WALL + 61)
    assert [None if one is None else one.stored for one in timeline.moments] == [10.0, None, 50.0]


def test_only_the_last_minutes_are_kept() -> None:
    timeline = Timeline()
    timeline.add(scrape(0.0, replay=100), WALL)
    for second in range(1, 2 * SECONDS):
        timeline.add(scrape(float(second), replay=100.0 + second), WALL + second)
    assert SECONDS - 1 <= len(timeline.moments) <= SECONDS + 2
    assert timeline.refusals() == [("replay", float(SECONDS))]


def overview(ready: Mapping[str, object], *texts: str) -> Overview:
    history = History(SLO.p95_window, SLO.threshold)
    for at in (0.0, 1.0):
        text = "\n".join(texts) + "\n" if texts else ""
        found = history.add([Reading("http://127.0.0.1:8089", parse(text, at), ready)])
    return found


def test_health_names_each_part_and_its_state() -> None:
    ready = {
        "status": "ready",
        "workers": [
            {"worker": 0, "state": "ready", "heartbeat_age": 0.2},
            {"worker": 1, "state": "sink_stalled", "heartbeat_age": 7.5, "detail": "the disk"},
        ],
    }
    found = health(
        overview(
            ready,
            "logops_sink_bytes_total 5000000",
            "logops_circuit_breaker_state 2",
            "logops_worker_restarts_total 3",
            "logops_ship_lag_bytes 2000000",
            "logops_ship_lag_seconds 90",
        )
    )
    states = {check.name: check.state for check in found}
    assert states == {
        "worker 0": "good",
        "worker 1": "bad",
        "sink": "bad",
        "circuit breaker": "bad",
        "restarts": "warn",
        "shipper": "warn",
    }
    texts = {check.name: check.text for check in found}
    assert texts["worker 1"] == "sink_stalled, heartbeat 7.5 s ago: the disk"
    assert texts["circuit breaker"] == "open"
    assert texts["shipper"].startswith("2.00 MB and 90 s behind")


def test_what_is_not_ready_or_does_not_answer_comes_first() -> None:
    unready = overview({"error": "sink_failed", "detail": "The disk is full.", "workers": []})
    assert health(unready)[0] == Check("gateway", "bad", "sink_failed: The disk is full.")
    silent = History(SLO.p95_window, SLO.threshold).add([Reading("http://x", problem="http://x: connection refused")])
    assert health(silent)[0] == Check("admin listener", "bad", "http://x: connection refused")
    assert health(silent)[-1] == Check("shipper", "off", "does not run here")


def test_the_monitor_takes_what_the_listeners_answer() -> None:
    monitor = Monitor(list, SLO)
    assert not monitor.answers
    monitor.take([Reading("http://a", scrape(0.0), {"status": "ready"})], WALL)
    monitor.take([Reading("http://a", scrape(1.0, stored=5), {"status": "ready"})], WALL + 1)
    assert monitor.answers
    assert monitor.timeline.latest is not None
    assert monitor.timeline.latest.stored == 5.0
    monitor.take([Reading("http://a", problem="gone")], WALL + 2)
    assert not monitor.answers
    assert monitor.timeline.latest is None
    assert monitor.version == 3


MOMENTS = (
    Moment(WALL, 10.0, 9.0, 8.0, 1.0, 0.001, 0.002, 0.0025),
    None,
    Moment(WALL + 2, 20.0, 20.0, 20.0, 0.0, None, None, None),
)


def test_the_charts_have_a_gap_where_nothing_was_read() -> None:
    series = charts.rates(MOMENTS)["series"]
    assert [one["name"] for one in series] == ["offered", "accepted", "stored"]
    assert series[2]["data"] == [[WALL * 1e3, 8.0], [WALL * 1e3, None], [(WALL + 2) * 1e3, 20.0]]


@pytest.mark.parametrize("moments", [(), MOMENTS, (Moment(WALL, 0, 0, 0, 0, 2.0, 30.0, 60.0),)])
def test_the_slo_is_always_within_the_latency_chart(moments: tuple[Moment | None, ...]) -> None:
    drawn = charts.latency(moments, SLO)
    limit = SLO.p95 * 1e3
    axis = drawn["yAxis"]
    assert axis["min"] < limit < axis["max"]
    assert drawn["series"][-1]["name"] == f"SLO: p95 under {limit:g} ms"
    values = [value for one in drawn["series"] for _, value in one["data"] if value is not None]
    assert all(axis["min"] <= value <= axis["max"] for value in values)


def test_the_charts_are_said_in_words() -> None:
    assert "20 offered, 20 accepted, 20 stored" in charts.describe_rates(MOMENTS[2])
    assert "p50 1.0, p95 2.0, p99 2.5" in charts.describe_latency(MOMENTS[0], SLO)
    assert "Nothing was answered" in charts.describe_latency(MOMENTS[2], SLO)
    assert "no reading yet" in charts.describe_rates(None)
