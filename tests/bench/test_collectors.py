from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import corpus, load, servers
from bench.peers import collectors, contenders
from logops_fast.emitters import layouts
from tests.bench.samples import results as sweep_results

STAND_IN = """
import http.server, json, os, sys
if "--version" in sys.argv:
    print("stand-in 1.0")
    sys.exit()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open(os.environ["BENCH_DIR"] + "/events.ndjson", "a") as out:
            out.writelines(json.dumps(event) + "\\n" for event in events)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # with the default of 5, connections wait for SYNs to be repeated
Server(("127.0.0.1", int(os.environ["BENCH_PORT"])), Handler).serve_forever()
"""


def words(folder: Path) -> list[str]:
    short = ["--rounds", "1", "--seconds", "0.3", "--batch-size", "10", "--corpora", "mixed"]
    return [*short, "--dir", str(folder), "--out", str(folder / "collectors")]


@pytest.mark.parametrize("one", collectors.ALL, ids=lambda one: one.name)
def test_a_configuration_asks_for_nothing_that_is_not_set(one: collectors.Collector) -> None:
    path = collectors.CONFIGS / one.words[-1]
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    asked = set(re.findall(r"(?<!\$)\$\{(?:env:)?([A-Za-z_0-9]+)\}", text))
    given = collectors.environment(one, 1, Path("files"), settles=True)
    assert {"BENCH_PORT", "BENCH_DIR", "BENCH_SETTLE"} <= asked <= given.keys()


@pytest.mark.parametrize("settles", [True, False])
def test_the_pipeline_of_the_opentelemetry_collector_is_made_of_what_is_configured(settles: bool) -> None:
    config = configuration("otelcol", settles=settles)
    (pipeline,) = config["service"]["pipelines"].values()
    assert pipeline["processors"] == (["transform"] if settles else [])
    for section in ("receivers", "processors", "exporters"):
        assert set(pipeline[section]) <= set(config[section])


def test_vector_is_let_read_its_variables() -> None:
    """Since 0.57 it does not by itself: it would listen on the port "${BENCH_PORT}"."""
    (vector,) = (one for one in collectors.ALL if one.name == "vector")
    given = collectors.environment(vector, 1, Path("files"), settles=True)
    assert given["VECTOR_DANGEROUSLY_ALLOW_ENV_VAR_INTERPOLATION"] == "true"


@pytest.mark.parametrize("settles", [True, False])
def test_the_inputs_of_vector_are_configured(settles: bool) -> None:
    config = configuration("vector", settles=settles)
    names = {*config["sources"], *config["transforms"]}
    assert config["sinks"]["out"]["inputs"] == ["settle" if settles else "in"]
    assert {
        name for part in (*config["transforms"].values(), *config["sinks"].values()) for name in part["inputs"]
    } <= names


def test_the_filter_of_fluent_bit_calls_a_function_of_its_script() -> None:
    filters = (collectors.CONFIGS / "fluent-bit.conf").read_text()
    called = re.search(r"^ *call +(\w+)$", filters, re.MULTILINE)
    assert called
    assert f"\nfunction {called[1]}(tag, timestamp, record)" in (collectors.CONFIGS / "settle.lua").read_text()


def configuration(name: str, *, settles: bool) -> dict[str, Any]:
    """A YAML configuration as its program reads it, the job's variable put in."""
    (one,) = (one for one in collectors.ALL if one.name == name)
    text = (collectors.CONFIGS / one.words[-1]).read_text()
    settle = one.settle[0 if settles else 1]
    config: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(?:env:)?BENCH_SETTLE\}", lambda _: settle, text))
    return config


@pytest.mark.process
@pytest.mark.bench
def test_without_the_programs_there_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for one in collectors.ALL:
        monkeypatch.delenv(one.variable, raising=False)
    assert collectors.main(words(tmp_path)) == 0
    assert capsys.readouterr().out.count("is not installed") == len(collectors.ALL)
    text = (tmp_path / "collectors.md").read_text()
    assert "is installed here" in text
    assert "| LogOps Fast, `up` | " in text


@pytest.mark.process
@pytest.mark.bench
def test_what_a_collector_stores_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in takes the place of Fluent Bit: what is tried is the runner."""
    program = tmp_path / "stand-in"
    program.write_text(f"#!{sys.executable}\n{STAND_IN}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for one in collectors.ALL:
        monkeypatch.delenv(one.variable, raising=False)
    monkeypatch.setenv("BENCH_FLUENT_BIT", str(program))
    results = collectors.run(collectors.arguments(words(tmp_path)))
    assert results["versions"] == {"fluent-bit": "1.0"}
    for row in results["corpora"]["mixed"].values():
        for figures in (figures for part in row.values() for figures in part):
            assert figures["cpu_eps"] > 0
            assert figures["lost"] == 0
    assert "| Fluent Bit, Lua (1.0) | " in collectors.table(results)


def test_ratios_are_of_events_a_cpu_second() -> None:
    def rounds(*cpu_eps: float, lost: int = 0) -> list[dict[str, float]]:
        return [{"cpu_eps": one, "eps": 50.0, "rss_mib": 9.0, "lost": lost, "others": 0.0} for one in cpu_eps]

    found = {"logops-up": {"job": rounds(900, 600, 800)}}
    found["fluent-bit"] = {"job": rounds(90, 100, 110), "as they come": rounds(400, 400, 1, lost=2)}
    results = {"machine": sweep_results()["machine"], "batch_size": 100, "rounds": 3, "seconds": 2.0}
    text = collectors.table({**results, "versions": {"fluent-bit": "9.1"}, "corpora": {"mixed": found}})
    assert "| LogOps Fast, `up` | 800 | 1 |" in text
    assert "| Fluent Bit, Lua (9.1) | 100 | 8.0 x | 400 | 2.0 x | 50 | 9 | 6 | 0.00 |" in text


def test_a_marker_across_two_readings_is_counted_once(tmp_path: Path) -> None:
    server = servers.Server("made up", 1, files=tmp_path, marker=b'"body":{')
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"body":{}},{"bo')
    assert server.lines_stored() == 1
    with path.open("ab") as file:
        file.write(b'dy":{}},{"body":{')
    assert server.lines_stored() == 3
    assert server.lines_stored() == 3


BATCH = 100
BATCHES = 12
TS_NAMES = {"ts", "timestamp", *layouts.TS_NAMES}
LEVEL_NAMES = {"severity", *layouts.LEVEL_NAMES}
MSG_NAMES = {"msg", "message", "event", "log", "RenderedMessage", "body"}
SECRET = re.compile(r"card \d|Bearer |2001:db8")
"""What ours mask and the configurations of the others do not."""
ADDRESS = re.compile(r"[\w.+-]{2,}@[\w-]+\.\w|\b10\.\d+\.\d+\.\d+\b")


def test_a_record_that_says_something_else_is_found() -> None:
    event = {"time": "2026-01-02T03:04:05Z", "level": 40, "log": "from 10.1.2.3\n", "n": {"a": 1}}
    ours = {"ts": "2026-01-02T03:04:05.000Z", "level": "WARN", "msg": "from 10.1.x.x", "n": {"a": 1}}
    right = {**ours, "ts": "2026-01-02T04:04:05+01:00", "msg": "from 10.1.x.x\n", "emitter": "bench"}
    assert agree(event, right, ours)
    for wrong in (
        {"ts": "2026-01-02T03:04:05.001Z"},
        {"level": "INFO"},
        {"msg": "from"},
        {"n": {"a": 2}},
        {"also": {"to": "ana@example.com"}},
        {"also": ["10.1.2.3"]},
        {"emitter": ""},
    ):
        assert not agree(event, {**right, **wrong}, ours), wrong
    assert agree({"log": "INFO up"}, {**right, "level": "INFO", "ts": "", "msg": "INFO up"}, {**ours, "msg": "INFO up"})


@pytest.fixture(scope="module", params=["mixed", "field"])
def kind(request: pytest.FixtureRequest) -> corpus.Kind:
    found: corpus.Kind = request.param
    return found


@pytest.fixture(scope="module")
def records_of_ours(kind: corpus.Kind, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    with contenders.running(contenders.OURS, tmp_path_factory.mktemp("ours")) as server:
        plan = load.Plan(1, [load.Body.of(body, BATCH) for body in corpus.bodies(BATCHES, BATCH, kind)])
        for head, body in islice(load.signed_requests(plan), BATCHES):
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            assert post(server, body.data, headers) == 200
        return [json.loads(line) for line in lines(server)]


@pytest.mark.service
@pytest.mark.process
@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.parametrize("one", collectors.ALL, ids=lambda one: one.name)
def test_a_collector_stores_what_ours_store(
    one: collectors.Collector, kind: corpus.Kind, records_of_ours: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Run where the program is: Debian has none of them."""
    if one.binary() is None:
        pytest.skip(f"{one.programs[0]} is not installed")
    with collectors.running(one, tmp_path, settles=True) as server:
        for body in one.bodies(BATCHES, BATCH, kind):
            assert post(server, body, {"content-type": one.content_type().decode()}) == 200
        assert collectors.await_events(server, BATCH * BATCHES) == BATCH * BATCHES
        stored = [record for line in lines(server) for record in read(one, json.loads(line))]
    sent = [event for seed in range(BATCHES) for event in corpus.events(BATCH, kind, seed)]
    assert_agreement(sent, stored, records_of_ours)


@pytest.mark.process
@pytest.mark.bench
@pytest.mark.slow
def test_the_vrl_of_vector_makes_what_ours_store(kind: corpus.Kind, records_of_ours: list[dict[str, Any]]) -> None:
    """By Vector's own engine, without Vector: vector-vrl, which takes Python 3.12."""
    engine = pytest.importorskip("vector_vrl")
    source = configuration("vector", settles=True)["transforms"]["settle"]["source"].replace("$$", "$")
    sent = [event for seed in range(BATCHES) for event in corpus.events(BATCH, kind, seed)]
    made = engine.execute_vrl(source, [json.dumps(event) for event in sent])
    for record in made:
        record["ts"] = record["ts"].replace(" UTC", "+00:00")
        for name, value in record.items():  # the package gives what is nested as JSON
            record[name] = json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    assert_agreement(sent, made, records_of_ours)


@pytest.mark.service
@pytest.mark.process
@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.parametrize("one", collectors.ALL, ids=lambda one: one.name)
def test_a_collector_stores_events_as_they_come(one: collectors.Collector, tmp_path: Path) -> None:
    if one.binary() is None:
        pytest.skip(f"{one.programs[0]} is not installed")
    with collectors.running(one, tmp_path, settles=False) as server:
        for body in one.bodies(2, BATCH, "field"):
            assert post(server, body, {"content-type": one.content_type().decode()}) == 200
        assert collectors.await_events(server, 2 * BATCH) == 2 * BATCH
        text = "".join(lines(server))
    for event in (event for seed in range(2) for event in corpus.events(BATCH, "field", seed)):
        assert next(value for value in event.values() if isinstance(value, str) and len(value) > 15)[:12] in text


def assert_agreement(sent: list[dict[str, Any]], stored: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    rows = zip(sent, stored, ours, strict=True)
    differing = [(event, record, right) for event, record, right in rows if not agree(event, record, right)]
    assert not differing, f"{len(differing)} of {len(sent)}: {differing[:3]}"


def agree(event: dict[str, Any], record: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether a collector's record says what ours does, as far as its job goes."""
    if ADDRESS.search(json.dumps(record)):
        return False
    if TS_NAMES & event.keys() and abs((moment(record["ts"]) - moment(ours["ts"])).total_seconds()) > 0.000_01:
        return False
    if LEVEL_NAMES & event.keys() and record["level"] != ours["level"]:
        return False  # in the other layouts ours finds the level in the message
    if not SECRET.search(json.dumps(event)):
        if record["msg"].rstrip("\n") != ours["msg"]:
            return False
        others = event.keys() - TS_NAMES - LEVEL_NAMES - MSG_NAMES
        if any(record[name] != ours[name] for name in others):
            return False
    return bool(record["emitter"] == "bench")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def read(one: collectors.Collector, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a line: one, or those of an export of OTLP."""
    if one.name != "otelcol":
        yield line
        return
    for resource in line["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                stamp = (
                    datetime.fromtimestamp(int(record["timeUnixNano"]) / 1e9, UTC) if "timeUnixNano" in record else None
                )
                yield {
                    **{pair["key"]: plain(pair["value"]) for pair in record["attributes"]},
                    "ts": stamp.isoformat() if stamp else "",
                    "level": record.get("severityText", ""),
                    "msg": plain(record["body"]),
                }


def plain(value: dict[str, Any]) -> Any:
    """A value of OTLP's JSON."""
    ((name, held),) = value.items()
    if name == "kvlistValue":
        return {pair["key"]: plain(pair["value"]) for pair in held["values"]}
    return int(held) if name == "intValue" else held


def post(server: servers.Server, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.request("POST", server.target.decode(), body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def lines(server: servers.Server) -> list[str]:
    assert server.files is not None
    return [line for path in sorted(server.files.glob("*.ndjson")) for line in path.read_text().splitlines()]
