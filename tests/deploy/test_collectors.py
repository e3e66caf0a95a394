"""Collectors and Loki: each field is one of the documented ones, and the labels made of real stored lines are few."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logops_fast.ingest.levels import LEVELS
from tests.deploy.collectors import Entry, Job, alloy_jobs, carry_out, parse_alloy, promtail_jobs
from tests.deploy.support import DEPLOY, compose, read_yaml
from tests.support.gateway import Gateway, running

PROMTAIL = DEPLOY / "promtail" / "promtail.yml"
ALLOY = DEPLOY / "alloy" / "config.alloy"
LABELS = {"app", "emitter", "level", "source"}
SINK = "/var/lib/logops/ingest"

# The fields used here, as the references of Promtail 3.6, Alloy 1.18 and Loki 3.7 have them.
PROMTAIL_FIELDS: dict[str, set[str]] = {
    "": {"server", "positions", "clients", "scrape_configs"},
    "server": {"http_listen_port", "grpc_listen_port", "log_level"},
    "positions": {"filename", "sync_period", "ignore_invalid_yaml"},
    "client": {"url", "batchwait", "batchsize", "timeout", "backoff_config", "tenant_id", "external_labels"},
    "backoff_config": {"min_period", "max_period", "max_retries"},
    "scrape_config": {"job_name", "static_configs", "pipeline_stages", "relabel_configs"},
}
STAGE_FIELDS: dict[str, set[str]] = {
    "json": {"expressions", "source", "drop_malformed"},
    "regex": {"expression", "source"},
    "timestamp": {"source", "format", "fallback_formats", "location", "action_on_failure"},
}
ALLOY_FIELDS: dict[str, set[str]] = {
    "local.file_match": {"path_targets", "sync_period", "ignore_older_than"},
    "loki.source.file": {"targets", "forward_to", "encoding", "tail_from_end", "legacy_positions_file"},
    "loki.process": {"forward_to"},
    "loki.write": {"max_streams", "external_labels"},
}
ENDPOINT_FIELDS = {
    *("url", "name", "headers", "batch_wait", "batch_size", "remote_timeout", "tenant_id"),
    *("min_backoff_period", "max_backoff_period", "max_backoff_retries", "retry_on_http_429"),
}
LOKI_FIELDS: dict[str, set[str]] = {
    "": {
        *("auth_enabled", "server", "common", "schema_config", "ingester", "limits_config", "compactor", "analytics"),
    },
    "limits_config": {
        *("allow_structured_metadata", "discover_service_name", "max_label_names_per_series"),
        *("max_global_streams_per_user", "ingestion_rate_mb", "ingestion_burst_size_mb", "per_stream_rate_limit"),
        *("per_stream_rate_limit_burst", "reject_old_samples", "reject_old_samples_max_age", "retention_period"),
        *("max_query_lookback", "volume_enabled"),
    },
    "ingester": {"max_chunk_age", "chunk_encoding"},
    "compactor": {"working_directory", "retention_enabled", "delete_request_store"},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with stored and rejected lines of many kinds."""
    with running(tmp_path_factory.mktemp("collected")) as gateway:
        events: list[Any] = [
            {
                "ts": "2026-03-01T10:00:00.123456789Z",
                "level": "warn",
                "msg": "one",
                "trace_id": "4bf92f",
                "app": "shop",
            },
            {"msg": "no time, no level", "user_id": 17, "request_id": "r-1"},
            {"ts": 1772359200, "level": "what", "msg": "odd", "source": "k8s", "app": "a b\nc", "host": None},
            {"ts": "nonsense", "msg": {"nested": True}, "app": "x" * 41, "source": {"a": 1}, "pid": 4.5},
            *({"msg": f"invented {i}", "app": f"name {i}", "span_id": f"s{i}"} for i in range(50)),
            *("not an object", 3),
        ]
        assert gateway.send(events, headers={"X-Scenario-Id": "spike"}).status == 200
        syslog = b"<134>1 2026-03-01T10:00:00.5Z host7 shop 4711 ID47 - paid"
        assert gateway.send(syslog, content_type="text/plain").status == 200
        yield gateway


def entries(gateway: Gateway, jobs: list[Job]) -> list[Entry]:
    """Every stored and rejected line as a collector sends it."""
    files = [(f"{SINK}/20260301.ndjson", line) for line in gateway.lines()]
    rejected = [json.dumps(event) for event in gateway.rejected()]
    assert rejected
    return [
        carry_out(jobs, path, line)
        for path, line in files + [(f"{SINK}/rejected/20260301.ndjson", line) for line in rejected]
    ]


@pytest.fixture(params=["promtail", "alloy"])
def jobs(request: pytest.FixtureRequest) -> list[Job]:
    """The jobs of either collector."""
    return promtail_jobs(PROMTAIL) if request.param == "promtail" else alloy_jobs(ALLOY)


def test_the_two_collectors_do_the_same() -> None:
    assert promtail_jobs(PROMTAIL) == alloy_jobs(ALLOY)


@pytest.mark.process
def test_labels_are_few_and_of_few_values(gateway: Gateway, jobs: list[Job]) -> None:
    sent = entries(gateway, jobs)
    assert {label for entry in sent for label in entry.labels} == LABELS
    assert {entry.labels["level"] for entry in sent if "level" in entry.labels} <= set(LEVELS)
    assert {entry.labels["emitter"] for entry in sent} == {"web"}
    assert {entry.labels.get("app") for entry in sent} == {"shop", "logops", None}, "invented names are no labels"
    assert {entry.labels.get("source") for entry in sent} == {"ingest", "k8s", "rejected"}
    assert len({tuple(sorted(entry.labels.items())) for entry in sent}) <= 8, "streams"


@pytest.mark.process
def test_what_is_many_is_structured_metadata(gateway: Gateway, jobs: list[Job]) -> None:
    by_message = {json.loads(entry.line).get("msg"): entry for entry in entries(gateway, jobs)}
    assert by_message["one"].metadata == {"scenario_id": "spike", "trace_id": "4bf92f"}
    assert by_message["no time, no level"].metadata == {"scenario_id": "spike", "user_id": "17", "request_id": "r-1"}
    assert by_message["odd"].metadata == {"scenario_id": "spike", "level_raw": "what"}
    assert by_message["invented 7"].metadata["span_id"] == "s7"
    syslog = by_message["paid"]
    assert (syslog.metadata["host"], syslog.metadata["pid"], syslog.metadata["msgid"]) == ("host7", "4711", "ID47")


@pytest.mark.process
def test_the_time_is_that_of_the_event(gateway: Gateway, jobs: list[Job]) -> None:
    sent = entries(gateway, jobs)
    assert all(entry.ts is not None and entry.ts.utcoffset() is not None for entry in sent)
    one = next(entry for entry in sent if '"one"' in entry.line)
    assert one.ts is not None
    assert one.ts.isoformat() == "2026-03-01T10:00:00.123456+00:00"


@pytest.mark.process
def test_rejected_events_are_a_stream_of_their_own(gateway: Gateway, jobs: list[Job]) -> None:
    rejected = [entry for entry in entries(gateway, jobs) if entry.labels.get("source") == "rejected"]
    assert len(rejected) == 2
    for entry in rejected:
        assert entry.labels == {"app": "logops", "source": "rejected", "emitter": "web"}
        assert set(entry.metadata) == {"scenario_id", "batch_id", "reason"}


def test_promtail_s_fields_are_documented_ones() -> None:
    config = read_yaml(PROMTAIL)
    assert set(config) <= PROMTAIL_FIELDS[""]
    assert set(config["server"]) <= PROMTAIL_FIELDS["server"]
    assert set(config["positions"]) <= PROMTAIL_FIELDS["positions"]
    for client in config["clients"]:
        assert set(client) <= PROMTAIL_FIELDS["client"]
        assert set(client["backoff_config"]) <= PROMTAIL_FIELDS["backoff_config"]
    for job in config["scrape_configs"]:
        assert set(job) <= PROMTAIL_FIELDS["scrape_config"]
    stages_are_documented(promtail_jobs(PROMTAIL))


def stages_are_documented(jobs: list[Job]) -> None:
    for job in jobs:
        for name, options in job.stages:
            if name in STAGE_FIELDS:
                assert set(options) <= STAGE_FIELDS[name], name
            if name == "timestamp":
                assert options["action_on_failure"] in ("skip", "fudge")


def test_alloy_s_fields_are_documented_ones_and_braces_close() -> None:
    for header, blocks in parse_alloy(ALLOY.read_text("utf-8")).items():
        assert len(blocks) == 1, header
        kind = header.split()[0]
        for inner, attributes in blocks:
            assert set(attributes) <= ALLOY_FIELDS[kind], header
            for name, options in inner:
                assert name.startswith("stage.") or (kind, name) == ("loki.write", "endpoint")
                if name == "endpoint":
                    assert set(options) <= ENDPOINT_FIELDS
    stages_are_documented(alloy_jobs(ALLOY))


def test_alloy_goes_on_where_promtail_was() -> None:
    positions = read_yaml(PROMTAIL)["positions"]["filename"]
    sources = [blocks[0][1] for header, blocks in parse_alloy(ALLOY.read_text("utf-8")).items() if "source" in header]
    assert {source["legacy_positions_file"] for source in sources} == {positions}
    for name in ("promtail", "alloy"):
        targets = [volume.split(":")[1] for volume in compose()["services"][name]["volumes"]]
        assert any(positions.startswith(f"{target}/") for target in targets)


def test_both_push_to_where_loki_listens() -> None:
    loki = read_yaml(DEPLOY / "loki" / "loki.yml")
    url = f"http://loki:{loki['server']['http_listen_port']}/loki/api/v1/push"
    assert [client["url"] for client in read_yaml(PROMTAIL)["clients"]] == [url]
    ((inner, _),) = parse_alloy(ALLOY.read_text("utf-8"))['loki.write "loki"']
    assert [options["url"] for _, options in inner] == [url]


def test_loki_takes_structured_metadata_and_forgets_in_time() -> None:
    loki = read_yaml(DEPLOY / "loki" / "loki.yml")
    for section, fields in LOKI_FIELDS.items():
        assert set(loki[section] if section else loki) <= fields, section
    assert loki["limits_config"]["allow_structured_metadata"] is True
    assert loki["schema_config"]["configs"][-1]["schema"] == "v13"
    assert loki["schema_config"]["configs"][-1]["store"] == "tsdb"
    # Retention needs the compactor to do it, and a place for its requests.
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["compactor"]["delete_request_store"] == "filesystem"
    data = {volume.split(":")[1] for volume in compose()["services"]["loki"]["volumes"]}
    assert loki["common"]["path_prefix"] in data


def test_the_cluster_s_collector_is_the_same_file() -> None:
    assert (DEPLOY / "k8s" / "base" / "config.alloy").read_bytes() == Path(ALLOY).read_bytes()
