"""The way to Loki: shipper, Promtail and Alloy make the same entries of stored lines, and the dashboards find them.

Each field of the collectors' and Loki's files is one of the documented ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from logops_fast.config.sections.ship import ShipSettings
from logops_fast.ingest.sink.day_files import parse_name
from logops_fast.shipper.entries import EntryMaker, Place, rfc3339_ns
from tests.deploy.collectors import Job, alloy_job, carry_out, parse_alloy, promtail_job
from tests.deploy.support import DEPLOY, compose, queries, read_yaml, settled
from tests.loki.store import matches, parse_labels, parse_query
from tests.loki.wire import decode_push
from tests.shipper.support import encoded
from tests.support.gateway import Gateway, running

PROMTAIL = DEPLOY / "promtail" / "promtail.yml"
ALLOY = DEPLOY / "alloy" / "config.alloy"
SINK = "/var/lib/logops/ingest"
MACHINE = "machine-1"
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

# The fields used here, as the references of Promtail 3.6, Alloy 1.18 and Loki 3.7 have them.
PROMTAIL_FIELDS: dict[str, set[str]] = {
    "": {"server", "positions", "clients", "scrape_configs"},
    "server": {"http_listen_port", "grpc_listen_port", "log_level"},
    "positions": {"filename", "sync_period", "ignore_invalid_yaml"},
    "client": {"url", "batchwait", "batchsize", "timeout", "backoff_config", "tenant_id", "external_labels"}
    | {"drop_rate_limited_batches"},
    "backoff_config": {"min_period", "max_period", "max_retries"},
    "scrape_config": {"job_name", "static_configs", "pipeline_stages", "relabel_configs"},
}
STAGE_FIELDS: dict[str, set[str]] = {
    "json": {"expressions", "source", "drop_malformed"},
    "regex": {"expression", "source"},
    "template": {"source", "template"},
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
WRITE_FIELDS = {
    "endpoint": ENDPOINT_FIELDS,
    "queue_config": {"block_on_overflow", "capacity", "drain_timeout", "min_shards"},
    "wal": {"enabled", "max_segment_age", "drain_timeout", "min_read_frequency", "max_read_frequency"},
}
LOKI_FIELDS: dict[str, set[str]] = {
    "": {
        *("auth_enabled", "server", "common", "schema_config", "ingester", "querier", "limits_config", "compactor"),
        "analytics",
    },
    "limits_config": {
        *("allow_structured_metadata", "discover_service_name", "max_label_names_per_series"),
        *("max_global_streams_per_user", "ingestion_rate_mb", "ingestion_burst_size_mb", "per_stream_rate_limit"),
        *("per_stream_rate_limit_burst", "reject_old_samples", "reject_old_samples_max_age", "retention_period"),
        *("max_query_lookback", "volume_enabled"),
    },
    "ingester": {"max_chunk_age", "chunk_encoding", "query_store_max_look_back_period"},
    "querier": {"query_ingesters_within"},
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
            # What a client says of itself is no label.
            {"msg": "forged", "source": "rejected", "stream": "rejected", "instance": "x", "worker": 9, "rejected": 1},
            {"msg": "numbers", "user_id": 12345678, "trace_id": True, "request_id": ["a", 1], "tenant": "t"},
            *({"msg": f"invented {i}", "app": f"name {i}", "span_id": f"s{i}"} for i in range(50)),
            *("not an object", 3),
        ]
        assert gateway.send(events, headers={"X-Scenario-Id": "spike"}).status == 200
        syslog = b"<134>1 2026-03-01T10:00:00.5Z host7 shop 4711 ID47 - paid"
        assert gateway.send(syslog, content_type="text/plain").status == 200
        yield gateway


class Shipped(NamedTuple):
    """An entry as Loki gets it. ``ts`` is RFC 3339."""

    line: str
    labels: dict[str, str]
    metadata: dict[str, str]
    ts: str

    @property
    def event(self) -> Any:
        return json.loads(self.line)


@pytest.fixture(scope="module")
def files(gateway: Gateway) -> dict[str, list[str]]:
    """Stored and rejected lines, in files as two workers write them."""
    rejected = [json.dumps(event) for event in gateway.rejected()]
    assert rejected
    lines = gateway.lines()
    return {
        "20260301.ndjson": lines,
        "20260301.w1.ndjson": lines[:5],
        "rejected/20260301.ndjson": rejected,
        "rejected/20260301.w1.ndjson": rejected,
    }


def by_shipper(files: dict[str, list[str]]) -> list[Shipped]:
    maker = EntryMaker(ShipSettings().metadata)
    found = []
    for path, lines in files.items():
        folder, _, name = path.rpartition("/")
        day = parse_name(name)
        assert day is not None
        place = Place("rejected" if folder else "events", f"{MACHINE}-{day.worker or 0}", name.removesuffix(".ndjson"))
        for entry in maker.make(place, 0, [line.encode() for line in lines], 0):
            ((labels, ((ns, line, metadata, *_),)),) = decode_push(encoded([entry]))
            parsed = parse_labels(labels)
            assert parsed is not None
            others = dict(metadata)
            assert others.pop("seq").startswith("20260301.")
            found.append(Shipped(line, parsed, others, rfc3339_ns(ns)[:26]))
    return found


def by_collector(job: Job, files: dict[str, list[str]]) -> list[Shipped]:
    found = []
    for path, lines in files.items():
        for line in lines:
            entry = carry_out(job, f"{SINK}/{path}", line)
            assert entry.ts is not None
            ns = int(entry.ts.timestamp()) * 10**9 + entry.ts.microsecond * 1000
            found.append(Shipped(line, entry.labels, entry.metadata, rfc3339_ns(ns)[:26]))
    return found


@pytest.fixture(scope="module")
def shipped(files: dict[str, list[str]]) -> list[Shipped]:
    return by_shipper(files)


def jobs() -> dict[str, Job]:
    return {
        "promtail": promtail_job(PROMTAIL, LOGOPS_MACHINE=MACHINE),
        "alloy": alloy_job(ALLOY, LOGOPS_MACHINE=MACHINE),
    }


def test_the_two_collectors_do_the_same() -> None:
    assert jobs()["promtail"] == jobs()["alloy"]


@pytest.mark.process
@pytest.mark.parametrize("name", ["promtail", "alloy"])
def test_a_collector_makes_the_entries_of_the_shipper(
    name: str, files: dict[str, list[str]], shipped: list[Shipped]
) -> None:
    assert by_collector(jobs()[name], files) == shipped


@pytest.mark.process
def test_labels_are_bounded_and_follow_from_the_file(shipped: list[Shipped]) -> None:
    assert {entry.labels["emitter"] for entry in shipped} == {"web"}
    assert {entry.labels["instance"] for entry in shipped} == {f"{MACHINE}-0", f"{MACHINE}-1"}
    for entry in shipped:
        rejected = "reason" in entry.event and "level" not in entry.event
        assert entry.labels["stream"] == ("rejected" if rejected else "events")
        assert set(entry.labels) == {"emitter", "stream", "instance"} | (set() if rejected else {"level"})
        assert entry.labels.get("level", "INFO") in LEVELS
    assert any(entry.event.get("source") == "rejected" for entry in shipped), "a client tried"


@pytest.mark.process
def test_what_clients_choose_is_structured_metadata(shipped: list[Shipped]) -> None:
    by_message = {entry.event.get("msg"): entry.metadata for entry in shipped}
    ours = {"scenario_id": "spike", "app": "logops", "source": "ingest"}
    assert by_message["one"] == {**ours, "app": "shop", "trace_id": "4bf92f"}
    assert by_message["no time, no level"] == {**ours, "user_id": "17", "request_id": "r-1"}
    assert by_message["odd"] == {**ours, "level_raw": "what", "source": "k8s", "app": "a b\nc"}
    assert by_message["forged"] == {**ours, "source": "rejected"}
    assert by_message["invented 7"] == {**ours, "app": "name 7", "span_id": "s7"}
    syslog = by_message["paid"]
    assert (syslog["host"], syslog["pid"], syslog["msgid"]) == ("host7", "4711", "ID47")
    rejected = [entry.metadata for entry in shipped if entry.labels["stream"] == "rejected"]
    assert all(set(metadata) == {"scenario_id", "batch_id", "reason"} for metadata in rejected)


@pytest.mark.process
def test_the_time_is_that_of_the_event(shipped: list[Shipped]) -> None:
    assert all(entry.ts == entry.event["ts"].rstrip("Z")[:26] for entry in shipped if len(entry.event["ts"]) >= 27)
    assert any(entry.ts == "2026-03-01T10:00:00.123456" for entry in shipped)


def selects(query: str, entry: Shipped) -> bool:
    """Whether a query of a log panel returns an entry."""
    selector, _, text = query.rpartition("|~")
    matchers, filters = parse_query(selector)
    fields = {**entry.labels, **entry.metadata}
    return json.loads(text) in entry.line and all(
        matches(entry.labels if matcher in matchers else fields, *matcher) for matcher in (*matchers, *filters)
    )


@pytest.mark.process
def test_the_dashboards_find_events_and_rejected_events_by_their_stream(shipped: list[Shipped]) -> None:
    """The panels' queries, on what is shipped: a client's ``"source": "rejected"`` moves no event."""
    panels = {name: settled(query) for name, query in queries("loki")}
    for name, stream in (("Live logs: Events", "events"), ("Live logs: Rejected", "rejected")):
        assert all(selects(panels[name], entry) is (entry.labels["stream"] == stream) for entry in shipped), name


def test_the_metadata_is_that_of_the_shipper_s_settings() -> None:
    assert [options for name, options in jobs()["promtail"].stages if name == "structured_metadata"] == [
        {name: name for name in ShipSettings().metadata}
    ]


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
    stages_are_documented(jobs()["promtail"])


def stages_are_documented(job: Job) -> None:
    for name, options in job.stages:
        if name in STAGE_FIELDS:
            assert set(options) <= STAGE_FIELDS[name], name
        if name == "timestamp":
            assert options["action_on_failure"] in ("skip", "fudge")


def test_alloy_s_fields_are_documented_ones_and_braces_close() -> None:
    for header, blocks in parse_alloy(ALLOY.read_text("utf-8")).items():
        ((inner, attributes),) = blocks
        kind = header.split()[0]
        assert set(attributes) <= ALLOY_FIELDS[kind], header
        if kind == "loki.write":
            for name, (deeper, options) in inner:
                assert set(options) <= WRITE_FIELDS[name]
                for deep, (_, more) in deeper:
                    assert set(more) <= WRITE_FIELDS[deep]
        else:
            assert all(name.startswith("stage.") for name, _ in inner)
    stages_are_documented(jobs()["alloy"])


def test_neither_gives_up_nor_drops_what_does_not_fit() -> None:
    """0 tries are infinitely many, to both (github.com/grafana/dskit/backoff)."""
    (client,) = read_yaml(PROMTAIL)["clients"]
    assert client["backoff_config"]["max_retries"] == 0
    assert client["drop_rate_limited_batches"] is False
    ((inner, _),) = parse_alloy(ALLOY.read_text("utf-8"))['loki.write "loki"']
    blocks = dict(inner)
    queue, options = blocks["endpoint"]
    assert options["max_backoff_retries"] == 0
    assert options["retry_on_http_429"] is True
    assert dict(queue)["queue_config"][1]["block_on_overflow"] is True
    assert blocks["wal"][1]["enabled"] is True
    # It is experimental: Alloy needs the flag.
    assert "--stability.level=experimental" in compose("alloy")["services"]["collector"]["command"]
    limits = read_yaml(DEPLOY / "loki" / "loki.yml")["limits_config"]
    assert blocks["wal"][1]["max_segment_age"] == limits["reject_old_samples_max_age"]


def test_alloy_continues_where_promtail_was() -> None:
    positions = read_yaml(PROMTAIL)["positions"]["filename"]
    sources = [blocks[0][1] for header, blocks in parse_alloy(ALLOY.read_text("utf-8")).items() if "source" in header]
    # Of several sources the first would remove the file before the others had read it.
    assert [source["legacy_positions_file"] for source in sources] == [positions]
    for name in ("promtail", "alloy"):
        targets = [volume.split(":")[1] for volume in compose(name)["services"]["collector"]["volumes"]]
        assert any(positions.startswith(f"{target}/") for target in targets)


def test_all_push_to_where_loki_listens() -> None:
    loki = read_yaml(DEPLOY / "loki" / "loki.yml")
    url = f"http://loki:{loki['server']['http_listen_port']}/loki/api/v1/push"
    assert [client["url"] for client in read_yaml(PROMTAIL)["clients"]] == [url]
    ((inner, _),) = parse_alloy(ALLOY.read_text("utf-8"))['loki.write "loki"']
    assert dict(inner)["endpoint"][1]["url"] == url
    environment = compose("ship")["services"]["collector"]["environment"]
    assert f"{environment['LOGOPS_SHIP__URL']}/loki/api/v1/push" == url


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


def test_loki_finds_entries_of_any_age_and_the_shipper_knows() -> None:
    loki = read_yaml(DEPLOY / "loki" / "loki.yml")
    assert loki["querier"]["query_ingesters_within"] == 0
    assert loki["ingester"]["query_store_max_look_back_period"] == "-1ns"
    assert compose("ship")["services"]["collector"]["environment"]["LOGOPS_SHIP__QUERY_WITHIN"] == "0"
