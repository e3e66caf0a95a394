from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from logops_fast import __version__
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.ingest import metrics as ingest_metrics
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.telemetry.families import MAX_REASONS, ProcessMetrics, build_info, resident_bytes
from logops_fast.telemetry.registry import Registry, ValuesT
from logops_fast.telemetry.slab import Slab


@dataclass(frozen=True)
class Batch:
    count: int = 100
    missing_ts: int = 5
    missing_level: int = 4
    levels: Mapping[str, int] = field(default_factory=lambda: {"INFO": 90, "ERROR": 10, "DEBUG": 0})
    masked: Mapping[str, int] = field(default_factory=lambda: {"email": 3, "card": 0})


def series_of(registry: Registry, name: str) -> dict[tuple[str, ...], ValuesT]:
    return {snapshot.shape.name: snapshot.series for snapshot in registry.collect()}[name]


def both() -> tuple[Registry, AuthMetrics, IngestMetrics]:
    registry = Registry(Slab(1))
    return registry, AuthMetrics(registry, ["web"]), IngestMetrics(registry, ["web"])


def test_every_family_of_the_contract_exists_with_its_labels() -> None:
    registry, _, _ = both()
    build_info(registry, "uvloop", "interpreted")
    contract = {
        "logops_auth_requests_total": ("status", "emitter"),
        "logops_auth_request_latency_seconds": ("emitter",),
        "logops_rejected_total": ("gateway", "reason", "emitter"),
        "logops_forward_attempts_total": ("outcome",),
        "logops_circuit_breaker_state": (),
        "logops_ratelimit_denied_events_total": ("emitter",),
        "logops_accepted_total": ("emitter", "scenario_id"),
        "logops_ingested_total": ("emitter", "level"),
        "logops_missing_ts_total": ("emitter",),
        "logops_missing_level_total": ("emitter",),
        "logops_parse_errors_total": ("emitter", "format"),
        "logops_pii_masked_total": ("kind",),
        "logops_inflight": ("gateway",),
        "logops_inflight_bytes": ("gateway",),
        "logops_batch_size": (),
        "logops_batch_latency_seconds": ("emitter",),
        "logops_sink_bytes_total": (),
        "logops_sink_commit_seconds": (),
        "logops_sink_errors_total": (),
        "logops_housekeeping_runs_total": ("outcome",),
        "logops_housekeeping_files_total": ("action",),
        "logops_build_info": ("version", "python", "accelerator", "build"),
    }
    made = {snapshot.shape.name: snapshot.shape.labelnames for snapshot in registry.collect()}
    assert {name: made.get(name) for name in contract} == contract


def test_two_gateways_in_one_process_share_families_and_keep_their_own_series() -> None:
    registry, auth, ingest = both()
    auth.rejected("replay", "web")
    ingest.rejected("empty", "web")
    auth.inflight.set(2)
    ingest.inflight_bytes.inc(10)
    assert series_of(registry, "logops_rejected_total") == {
        ("auth", "replay", "web"): (1.0,),
        ("ingest", "empty", "web"): (1.0,),
    }
    assert series_of(registry, "logops_inflight") == {("auth",): (2.0,), ("ingest",): (0.0,)}
    assert series_of(registry, "logops_inflight_bytes") == {("auth",): (0.0,), ("ingest",): (10.0,)}


def test_a_stored_batch_is_counted_by_scenario_level_and_kind() -> None:
    registry, _, ingest = both()
    ingest.stored("web", "na", Batch())
    ingest.stored("stranger", "s1", Batch(count=1, missing_ts=0, missing_level=0, levels={"INFO": 1}, masked={}))
    assert series_of(registry, "logops_accepted_total") == {("web", "na"): (100.0,), ("other", "s1"): (1.0,)}
    assert series_of(registry, "logops_ingested_total") == {
        ("web", "INFO"): (90.0,),
        ("web", "ERROR"): (10.0,),
        ("other", "INFO"): (1.0,),
    }
    assert series_of(registry, "logops_missing_ts_total") == {("web",): (5.0,)}
    assert series_of(registry, "logops_missing_level_total") == {("web",): (4.0,)}
    assert series_of(registry, "logops_pii_masked_total") == {("email",): (3.0,)}
    assert sum(series_of(registry, "logops_batch_size")[()][:-1]) == 2


def test_an_answer_is_counted_by_status_and_timed_by_emitter() -> None:
    registry, auth, _ = both()
    for status, emitter in ((200, "web"), (200, "web"), (429, "web"), (401, "stranger"), (999, "web")):
        auth.request_done(status, emitter, 0.001)
    assert series_of(registry, "logops_auth_requests_total") == {
        ("200", "web"): (2.0,),
        ("429", "web"): (1.0,),
        ("401", "other"): (1.0,),
        ("other", "web"): (1.0,),
    }
    latency = series_of(registry, "logops_auth_request_latency_seconds")
    assert {labels: sum(values[:-1]) for labels, values in latency.items()} == {("web",): 4.0, ("other",): 1.0}


def test_words_of_strangers_fill_neither_the_series_nor_the_caches() -> None:
    registry, auth, ingest = both()
    for i in range(300):
        auth.request_done(200, f"e{i}", 0.1)
        auth.rejected(f"r{i}", f"e{i}")
        ingest.answered(f"e{i}", 0.1)
        ingest.stored(f"e{i}", f"s{i}", Batch())
    assert set(series_of(registry, "logops_auth_requests_total")) == {("200", "other")}
    assert len(series_of(registry, "logops_rejected_total")) == MAX_REASONS + 1
    assert len(series_of(registry, "logops_accepted_total")) == ingest_metrics.MAX_SCENARIOS + 1
    assert len(auth._done) == 0
    assert len(ingest._latency) == 0


def test_emitters_of_a_reload_are_known_from_then_on() -> None:
    registry, auth, _ = both()
    auth.denied("new", 3)
    auth.emitter.add(["new"])
    auth.denied("new", 4)
    assert series_of(registry, "logops_ratelimit_denied_events_total") == {("other",): (3.0,), ("new",): (4.0,)}


def test_the_latency_buckets_have_an_edge_at_the_objective_and_are_fine_below_50_ms() -> None:
    assert 0.5 in ingest_metrics.LATENCY_EDGES
    assert sum(edge <= 0.05 for edge in ingest_metrics.LATENCY_EDGES) >= 10


def test_build_info_names_what_runs() -> None:
    registry = Registry()
    build_info(registry, "asyncio", "compiled")
    ((labels, value),) = series_of(registry, "logops_build_info").items()
    assert (labels[0], labels[2], value) == (__version__, "asyncio", (1.0,))


def test_cpu_time_of_a_successor_is_added_to_its_predecessors() -> None:
    slab = Slab(1)
    for _ in range(2):
        registry = Registry(slab)
        process = ProcessMetrics(registry)
        process.sample()
        process.sample()
    ((cpu,),) = series_of(registry, "process_cpu_seconds_total").values()
    ((resident,),) = series_of(registry, "process_resident_memory_bytes").values()
    assert cpu >= 2 * process._cpu_seen * 0.5
    assert 1e6 < resident <= 2 * resident_bytes()


def test_cpu_and_memory_are_shown_of_each_worker_and_in_all() -> None:
    slab = Slab(2)
    registries = [Registry(slab, index) for index in range(2)]
    for worker, registry in enumerate(registries):
        ProcessMetrics(registry, worker).sample()
    for of_worker, in_all in (
        ("logops_worker_cpu_seconds_total", "process_cpu_seconds_total"),
        ("logops_worker_resident_memory_bytes", "process_resident_memory_bytes"),
    ):
        series = series_of(registries[0], of_worker)
        assert set(series) == {("0",), ("1",)}
        assert sum(value for (value,) in series.values()) == series_of(registries[0], in_all)[()][0] > 0
