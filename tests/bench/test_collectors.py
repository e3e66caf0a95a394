from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pytest
import yaml

from bench import servers
from bench.peers import collectors

VARIABLES = {"BENCH_PORT", "BENCH_DIR", "BENCH_CONFIGS", "BENCH_SETTLE"}
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


def arguments(folder: Path) -> argparse.Namespace:
    return argparse.Namespace(rounds=1, seconds=0.3, batch_size=10, corpus="mixed", dir=folder)


@pytest.mark.parametrize("one", collectors.ALL, ids=lambda one: one.name)
def test_a_configuration_asks_for_nothing_that_is_not_set(one: collectors.Collector) -> None:
    path = collectors.CONFIGS / one.words[-1]
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    asked = set(re.findall(r"(?<!\$)\$\{(?:env:)?([A-Za-z_0-9]+)\}", text))
    assert {"BENCH_PORT", "BENCH_DIR", "BENCH_SETTLE"} <= asked <= VARIABLES
    if path.suffix == ".yaml":
        assert yaml.safe_load(text)


def test_without_the_programs_there_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert collectors.run(arguments(tmp_path)) == {}
    assert capsys.readouterr().out.count("is not installed") == len(collectors.ALL)
    assert "installed here" in collectors.table({})[0]


@pytest.mark.process
@pytest.mark.bench
def test_what_a_collector_stores_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in takes the place of Fluent Bit: what is tried is the runner."""
    program = tmp_path / "stand-in"
    program.write_text(f"#!{sys.executable}\n{STAND_IN}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENCH_FLUENT_BIT", str(program))
    found = collectors.run(arguments(tmp_path))
    assert set(found) == {"fluent-bit"}
    assert found["fluent-bit"]["version"] == "stand-in 1.0"
    (job,) = found["fluent-bit"]["job"]
    assert job["cpu_eps"] > 0
    assert job["lost"] == 0
    assert "stand-in 1.0" in collectors.table(found)[-1]


def test_a_marker_across_two_readings_is_counted_once(tmp_path: Path) -> None:
    server = servers.Server("made up", 1, files=tmp_path, marker=b'"body":{')
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"body":{}},{"bo')
    assert server.lines_stored() == 1
    with path.open("ab") as file:
        file.write(b'dy":{}},{"body":{')
    assert server.lines_stored() == 3
    assert server.lines_stored() == 3
