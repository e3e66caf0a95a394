"""The compose file's services as processes: from the first start to lines in Loki, each once, and to the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.engine import Engine
from tests.deploy.support import ask, until
from tests.loki.real import real_loki
from tests.loki.server import ThreadedLoki
from tests.loki.store import Limits

pytestmark = [pytest.mark.service, pytest.mark.process, pytest.mark.slow]

OURS = ("authgw", "ingest", "collector")
OTHERS = ("prometheus", "alertmanager", "node-exporter")


def lines(engine: Engine) -> list[tuple[Path, list[str]]]:
    sink = engine.volume("ingest-data") / "ingest"
    return [(path, path.read_text("utf-8").split("\n")[:-1]) for path in sorted(sink.glob("**/*.ndjson"))]


@pytest.mark.skipif(real_loki() is not None, reason="counts what one machine name has in Loki")
@pytest.mark.timeout(600)
def test_from_the_first_start_to_lines_in_loki(tmp_path: Path) -> None:
    with Engine(tmp_path, "ship") as engine:
        server = ThreadedLoki(Limits(query_ingesters_within=0))
        server.server.port = engine.port("loki", 3100)
        with server:
            # Promtail ran before, and has read the first 60 lines: these are in Loki without a `seq`.
            assert engine.run("demo", "emit", "json", "--eps", "500", "--duration", "0.2", "--batch-size", "100") == 0
            ((path, first),) = lines(engine)
            assert len(first) >= 100
            positions = engine.volume("collector") / "promtail" / "positions.yaml"
            offset = sum(len(line.encode()) + 1 for line in first[:60])
            positions.write_text(f'positions:\n  /var/lib/logops/ingest/{path.name}: "{offset}"\n')

            engine.up(*OURS, *OTHERS)
            for name in (*OURS, *OTHERS):
                until(f"{name} is healthy", lambda name=name: engine.healthy(name))  # type: ignore[misc]
            assert engine.run("demo", "emit", "noise", "--eps", "600", "--duration", "1", "--chaos", "0.6") == 0
            stored = sum(len(found) for _, found in lines(engine)) - 60
            until("every other line is in Loki", lambda: server.count() >= stored)
            counted = server.seqs()
            assert set(counted.values()) == {1}
            assert len(counted) == stored
            assert {key[:2] for key in counted} == {("events", "logops-0"), ("rejected", "logops-0")}
            assert all(entry.labels.find("-retimed") < 0 for entry in server.entries()), "Loki takes the demo's times"

            def up() -> bool:
                found = ask(engine.port("prometheus", 9090), "/api/v1/query", query="up")["data"]["result"]
                by_job = {one["metric"]["job"]: one["value"][1] for one in found}
                return by_job == dict.fromkeys(
                    ("authgw", "ingest", "ship", "prometheus", "alertmanager", "node"), "1"
                ) | dict.fromkeys(("loki", "grafana"), "0")

            until("Prometheus reaches all that runs here", up)
            for name in OURS:
                assert engine.stop(name) == 0, engine.log(name)
            # What was pushed before a start is not pushed again.
            engine.up("collector")
            until("the shipper is ready", lambda: engine.healthy("collector"))
            assert server.seqs() == counted
