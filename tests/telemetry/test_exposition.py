from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.telemetry.exposition import OPENMETRICS_TYPE, TEXT_TYPE, preload, render, wants_openmetrics
from logops_fast.telemetry.families import ProcessMetrics, build_info, worker_restarts
from logops_fast.telemetry.registry import Registry
from logops_fast.telemetry.slab import Slab
from tests.support.tables import each_of
from tests.telemetry.test_families import Batch

PROMETHEUS_ACCEPT = (
    b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    b"q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def everything(slab: Slab | None = None, index: int = 0) -> Registry:
    registry = Registry(slab, index)
    auth, ingest = AuthMetrics(registry, ["web"]), IngestMetrics(registry, ["web"])
    build_info(registry, "uvloop", "interpreted")
    worker_restarts(registry)
    ProcessMetrics(registry).sample()
    auth.request_done(200, "web", 0.004)
    auth.rejected("rate_limited", "web")
    auth.forward_attempt("ok")
    auth.denied("web", 5)
    auth.state_error("buckets")
    ingest.stored("web", "na", Batch())
    ingest.answered("web", 0.004)
    ingest.parse_errors("web", "csv", 1)
    ingest.rejected("empty", "web")
    ingest.sink_committed(1000, 0.0003)
    ingest.housekeeping_run("ok", {"deleted": 1})
    return registry


def samples(body: bytes) -> dict[str, float]:
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in parse_text(body.decode())
        for sample in family.samples
    }


def test_whichever_worker_answers_shows_the_sum() -> None:
    slab = Slab(2)
    registries = [everything(slab, 0), everything(slab, 1)]
    bodies = [render(registry)[0] for registry in registries]
    assert samples(bodies[0]) == samples(bodies[1])
    assert samples(bodies[0])["logops_accepted_total[('emitter', 'web'), ('scenario_id', 'na')]"] == 200.0
    assert samples(bodies[0])["logops_batch_latency_seconds_count[('emitter', 'web')]"] == 2.0
    assert samples(bodies[0])["logops_batch_latency_seconds_bucket[('emitter', 'web'), ('le', '0.5')]"] == 2.0
    assert samples(bodies[0])["logops_batch_latency_seconds_bucket[('emitter', 'web'), ('le', '0.003')]"] == 0.0


@pytest.mark.service
def test_promtool_finds_nothing_to_complain_about(promtool: str) -> None:
    body, _ = render(everything())
    checked = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_openmetrics_is_given_where_accept_prefers_it_and_parses() -> None:
    body, content_type = render(everything(), PROMETHEUS_ACCEPT)
    assert content_type == OPENMETRICS_TYPE
    assert body.endswith(b"# EOF\n")
    names = {family.name for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert {"logops_auth_requests", "logops_batch_latency_seconds", "logops_build_info"} <= names


def test_text_is_given_otherwise() -> None:
    assert render(everything())[1] == TEXT_TYPE


@each_of(
    ("accept", "openmetrics"),
    [
        (b"", False),
        (b"*/*", False),
        (b"text/plain", False),
        (b"application/openmetrics-text", True),
        (b"Application/OpenMetrics-Text; version=1.0.0", True),
        (b"application/openmetrics-text;q=0", False),
        (b"application/openmetrics-text;q=0.2, text/plain;q=0.9", False),
        (b"application/openmetrics-text;q=x", False),
        (PROMETHEUS_ACCEPT, True),
    ],
)
def test_accept_decides(accept: bytes, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics


@given(st.binary(max_size=100))
def test_no_accept_header_raises(accept: bytes) -> None:
    assert wants_openmetrics(accept) in (True, False)


def test_the_content_type_never_repeats_the_requests_words() -> None:
    _, content_type = render(Registry(), b"application/openmetrics-text; version=1.0.0evil")
    assert content_type == OPENMETRICS_TYPE


@each_of("label", ['"', "\\", "a\nb", "ü", "\ud800"])
def test_label_values_are_escaped(label: str) -> None:
    registry = Registry()
    registry.counter("hits_total", "Hits.", ("who",)).labels(label).inc()
    (family,) = [f for f in parse_text(render(registry)[0].decode()) if f.name == "hits"]
    assert family.samples[0].labels == {"who": label.encode("utf-8", "replace").decode()}


@pytest.mark.process
def test_preloading_leaves_nothing_for_the_first_scrape_to_import() -> None:
    code = (
        "import sys; from logops_fast.telemetry.exposition import preload, render;"
        "from logops_fast.telemetry.registry import Registry;"
        "assert 'prometheus_client' not in sys.modules; preload(); n = set(sys.modules); r = Registry();"
        "render(r); render(r, b'application/openmetrics-text'); assert set(sys.modules) == n, set(sys.modules) - n"
    )
    import sys

    subprocess.run([sys.executable, "-c", code], check=True)
    preload()
