"""The figures of running gateways, from expositions written by hand."""

from __future__ import annotations

import pytest

from logops_fast.telemetry.overview import History, Overview, Rates, Reading
from logops_fast.telemetry.scrape import parse

DOOR, OTHER_DOOR = "http://127.0.0.1:8089", "http://127.0.0.1:8090"
READY = {"status": "ready", "workers": [{"worker": 0, "state": "ready", "heartbeat_age": 0.2}]}


def gateway(at: float, **changes: float) -> Reading:
    """A gateway's metrics at ``at``: whatever is counted, by name; the rest is 0."""
    value = {
        "stored": 0, "unreadable": 0, "large": 0, "denied": 0, "fast": 0, "slow": 0, "refused": 0, "cpu": 0, "bytes": 0,
        "commits": 0, "lag": 0,
    } | changes  # fmt: skip
    text = f"""
logops_build_info{{accelerator="uvloop",build="native",python="3.11",version="0.5.0"}} 1
logops_accepted_total{{emitter="web",scenario_id="na"}} {value["stored"]}
logops_parse_errors_total{{emitter="web",format="json"}} {value["unreadable"]}
logops_events_too_large_total{{emitter="web"}} {value["large"]}
logops_ratelimit_denied_events_total{{emitter="csv"}} {value["denied"]}
logops_batch_latency_seconds_bucket{{emitter="web",le="0.1"}} {value["fast"]}
logops_batch_latency_seconds_bucket{{emitter="web",le="0.5"}} {value["fast"]}
logops_batch_latency_seconds_bucket{{emitter="web",le="1.0"}} {value["fast"] + value["slow"]}
logops_batch_latency_seconds_bucket{{emitter="web",le="+Inf"}} {value["fast"] + value["slow"]}
logops_rejected_total{{emitter="csv",gateway="auth",reason="rate_limited"}} {value["refused"]}
logops_worker_cpu_seconds_total{{worker="0"}} {value["cpu"]}
logops_worker_resident_memory_bytes{{worker="0"}} 4e7
logops_worker_connections{{worker="0"}} 12
logops_sink_bytes_total {value["bytes"]}
logops_sink_commit_seconds_bucket{{le="0.001"}} {value["commits"]}
logops_sink_commit_seconds_bucket{{le="+Inf"}} {value["commits"]}
logops_sink_errors_total 0
logops_circuit_breaker_state 1
logops_inflight{{gateway="auth"}} 3
logops_inflight_bytes{{gateway="auth"}} 1000
logops_queued_batches 2
logops_ship_lag_bytes {value["lag"]}
"""
    return Reading(DOOR, parse(text, at), READY)


def history() -> History:
    return History(300.0, 0.5)


def test_rates_are_of_the_last_seconds_and_received_counts_what_was_not_stored() -> None:
    watched = history()
    first = watched.add([gateway(100.0, stored=1000)])
    assert first.rates is None
    assert first.latency is not None
    assert first.latency.p50 is None
    second = watched.add([gateway(102.0, stored=1200, unreadable=2, large=2, denied=16)])
    assert second.rates == Rates(received=110.0, stored=100.0)
    for at in (104.0, 106.0, 108.0):
        last = watched.add([gateway(at, stored=1200, unreadable=2, large=2, denied=16)])
    assert last.rates == Rates(0.0, 0.0)
    assert [*watched.rates] == [Rates(110.0, 100.0)] + [Rates(0.0, 0.0)] * 3


def test_the_latency_is_that_of_the_slos_window() -> None:
    watched = history()
    watched.add([gateway(0.0, fast=1000)])
    early = watched.add([gateway(10.0, fast=1000, slow=100)]).latency
    assert early is not None
    assert early.p95 == pytest.approx(0.975)
    assert (early.share_fast, early.batches, early.seconds) == (0.0, 100.0, 10.0)
    watched.add([gateway(200.0, fast=1090, slow=100)])
    late = watched.add([gateway(315.0, fast=1190, slow=100)]).latency
    assert late is not None  # since the reading at 10 s: the slow ones were before it
    assert (late.share_fast, late.batches, late.seconds) == (1.0, 190.0, 305.0)


def test_a_gateway_that_was_started_again_starts_over() -> None:
    watched = history()
    watched.add([gateway(0.0, fast=1000, stored=1000)])
    watched.add([gateway(1.0, fast=1010, stored=1010)])
    restarted = watched.add([gateway(2.0, fast=5, stored=5)])
    assert restarted.latency is not None
    assert restarted.latency.batches == 0.0
    after = watched.add([gateway(3.0, fast=9, stored=9)])
    assert after.latency is not None
    assert after.latency.batches == 4.0
    assert min(rate.stored for rate in watched.rates) >= 0.0


def test_the_first_batches_of_a_gateway_count() -> None:
    idle = Reading(DOOR, parse('logops_inflight{gateway="auth"} 0\n', 1.0), READY)
    for before in ([], [gateway(0.0, fast=1000)]):  # watched from its start, and started again while watched
        watched = history()
        for reading in [*before, idle]:
            watched.add([reading])
        latency = watched.add([gateway(2.0, fast=3)]).latency
        assert latency is not None
        assert (latency.batches, latency.seconds) == (3.0, 1.0)


def seen() -> Overview:
    watched = history()
    watched.add([gateway(0.0, stored=100, refused=10, cpu=1.0)])
    return watched.add([gateway(2.0, stored=300, refused=12, cpu=2.0, bytes=4000, commits=3, fast=7, lag=50)])


def test_refusals_emitters_workers_sink_and_shipper() -> None:
    overview = seen()
    (refusals,) = overview.refusals
    assert (refusals.gateway, refusals.reason, refusals.emitter) == ("auth", "rate_limited", "csv")
    assert (refusals.per_second, refusals.total) == (1.0, 12.0)
    csv, web = overview.emitters
    assert (csv.name, csv.stored, csv.refused_per_second, csv.p95) == ("csv", 0.0, 1.0, None)
    assert (web.name, web.stored_per_second, web.stored) == ("web", 100.0, 300.0)
    assert web.p95 == pytest.approx(0.095)
    (worker,) = overview.workers
    assert (worker.number, worker.state, worker.cores, worker.connections) == ("0", "ready", 0.5, 12.0)
    assert overview.sink is not None
    assert (overview.sink.bytes_per_second, overview.sink.stalled) == (2000.0, False)
    assert overview.sink.commit_p50 == pytest.approx(0.0005)
    assert overview.shipper is not None
    assert overview.shipper.lag_bytes == 50.0
    assert (overview.breaker, overview.inflight, overview.inflight_bytes, overview.queued) == ("half-open", 3, 1000, 2)
    assert (overview.version, overview.build, overview.problems, overview.unready) == ("0.5.0", "native", (), "")


def test_two_listeners_are_one_picture_and_one_that_stops_answering_is_named() -> None:
    watched = history()
    other = [
        Reading(OTHER_DOOR, parse(f'logops_accepted_total{{emitter="web"}} {n}\n', at), READY)
        for at, n in ((0, 5), (2, 9))
    ]
    watched.add([gateway(0.0), other[0]])
    overview = watched.add([gateway(2.0, stored=16), other[1]])
    assert overview.rates == Rates(10.0, 10.0)
    assert [worker.door for worker in overview.workers] == [DOOR, OTHER_DOOR]
    gone = watched.add([gateway(4.0, stored=16), Reading(OTHER_DOOR, problem=f"{OTHER_DOOR}: connection refused")])
    assert gone.problems == (f"{OTHER_DOOR}: connection refused",)
    assert gone.rates == Rates(0.0 + 16 / 4, 16 / 4)
    assert [worker.door for worker in gone.workers] == [DOOR]


def test_a_stalled_disk_and_why_nothing_is_taken() -> None:
    ready = {
        "error": "sink_stalled",
        "detail": "No worker can take a batch.",
        "workers": [{"worker": 0, "state": "sink_stalled", "detail": "The disk...", "heartbeat_age": 0.1}],
    }
    overview = history().add([Reading(DOOR, gateway(0.0).scrape, ready)])
    assert overview.unready == "sink_stalled: No worker can take a batch."
    assert overview.sink is not None
    assert overview.sink.stalled


def test_an_auth_gateway_alone_shows_its_own_latency_and_no_sink() -> None:
    watched = history()

    def auth(at: float, answers: int) -> Reading:
        name = "logops_auth_request_latency_seconds_bucket"
        text = f'{name}{{emitter="web",le="0.5"}} {answers}\n{name}{{emitter="web",le="+Inf"}} {answers}\n'
        return Reading(DOOR, parse(text + 'logops_inflight{gateway="auth"} 0\n', at), READY)

    watched.add([auth(0.0, 10)])
    overview = watched.add([auth(1.0, 20)])
    assert overview.latency is not None
    assert overview.latency.batches == 10.0
    assert overview.sink is None
    assert overview.shipper is None
    assert overview.rates is None


def test_without_any_answer_everything_is_unknown() -> None:
    overview = history().add([Reading(DOOR, problem=f"{DOOR}: connection refused")])
    assert (overview.rates, overview.latency, overview.sink, overview.workers) == (None, None, None, ())
    assert overview.problems
