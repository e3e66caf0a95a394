"""Wrong uses of the command line: each ends with one line that says what to change, and nothing is done."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.conftest import Logops

RULE = "1 to 64 characters of A-Z a-z 0-9 . _ -"
USES = [
    ("strat", "logops: unknown command 'strat'; see logops --help"),
    ("completion", "logops completion: error: the following arguments are required: shell: bash, zsh, fish"),
    ("emit", "error: the following arguments are required: kind: json, csv, field, minimal, noise, syslog"),
    ("emit json --eps fast", "error: argument --eps: expected a number from 0 to 10000000, got 'fast'"),
    ("emit json --duration 10s", "error: argument --duration: expected a number from 0 to 2678400, got '10s'"),
    ("emit json --batch-size 0", "error: argument --batch-size: expected an integer from 1 to 1000000, got '0'"),
    ("emit json --seed x", "error: argument --seed: expected an integer, got 'x'"),
    (
        "emit json --url localhost:8081",
        "logops: --url: localhost:8081: expected http://host[:port]/path or https://host[:port]/path",
    ),
    ("emit json --key nosuch", "data/keys.yaml has no client nosuch; give its secret with --secret or LOGOPS_SECRET"),
    ("emit json --log-file folder", "logops: folder: Is a directory"),
    ("emit json --log-file gone/x", "logops: gone/x: there is no folder gone"),
    ("up --workers -2", 'logops: command line: server.workers: expected an integer from 1 to 1023 or auto, got "-2"'),
    ("up --authgw-port http", "logops up: error: argument --authgw-port: expected an integer, got 'http'"),
    ("up --authgw-port 99999", "logops: command line: authgw.port: expected an integer from 0 to 65535, got 99999"),
    ("up --config folder", "logops: folder: cannot be read: Is a directory"),
    ("up --config gone.yaml", "logops: gone.yaml: cannot be read: No such file or directory"),
    ("up --config binary", "logops: binary: is not UTF-8 text"),
    ("up --config list.yaml", "logops: list.yaml: expected a mapping, got a list"),
    ("up --config cut.yaml", "logops: cut.yaml:2: is not valid YAML: did not find expected ',' or ']'"),
    ("up --config word.yaml", "logops: word.yaml:1: sever: unknown key; did you mean server?"),
    ("up --config unit.yaml", 'logops: unit.yaml:1: server.drain_timeout: expected a number >= 0, got "10s"'),
    ("up --config bytes.yaml", 'bytes.yaml:1: backpressure.max_body_bytes: expected an integer >= 1, got "16MB"'),
    ("config server.wrkers", "logops: no setting has the path server.wrkers; did you mean server.workers?"),
    ("keys add", "logops keys add: error: the following arguments are required: NAME"),
    ("keys add a/b", f'logops: expected the name of a client ({RULE}), got "a/b"'),
    ("keys add x --emitter a/b", f'logops: expected the name of an emitter ({RULE}), got "a/b"'),
    ("keys add x --emitters b,a/b", f'logops: expected the name of an emitter ({RULE}), got "a/b"'),
    ("keys add demo", "data/keys.yaml has a client demo already; `logops keys rotate demo` gives it a new secret"),
    ("keys rotate dmo", "logops: data/keys.yaml has no client dmo; did you mean demo?"),
    (
        "sign POST localhost:8081/ingest",
        'logops: URL: expected http://host[:port]/path, or a target that begins with /, got "localhost:8081/ingest"',
    ),
    ("sign POST /ingest {} --body-file a.json", "logops: BODY and --body-file are both given: leave one out"),
    ("sign POST /ingest --body-file folder", "logops: folder: Is a directory"),
    ("verify POST ingest", 'a target that begins with /, got "ingest"'),
    ("verify POST /ingest --headers headers", "logops: headers:2: a header must be written as Name: value"),
    ("verify POST /ingest --headers folder", "logops: folder: Is a directory"),
    (
        "scenario run spik",
        "spik: no file and no scenario of the library; did you mean spike?; see logops scenario list",
    ),
    ("scenario validate gone.yaml", "logops: gone.yaml: no such file"),
    ("scenario report binary", "logops: binary: holds no run; it is what `logops scenario run --log-file` writes"),
    ("tail --since yesterday", "expected 10m, 2h, 1d or a time such as 2026-01-31T12:00:00Z, got 'yesterday'"),
    ("top --interval 0", "error: argument --interval: expected a number from 0.2 to 3600, got '0'"),
    ("parse folder", "logops: folder: cannot be read: Is a directory"),
    ("ship --url foo", "logops: ship: foo: expected http://host[:port]/path or https://host[:port]/path"),
    (
        "housekeeping --retention-days -1",
        "logops: command line: housekeeping.retention_days: expected an integer >= 0, got -1",
    ),
    ("reload --pid abc", "logops reload: error: argument --pid: expected an integer, got 'abc'"),
]


@pytest.fixture
def folder(logops: Logops, keys: Path) -> Path:
    """The working directory, with things in it that are not what a command wants."""
    folder = logops.folder
    (folder / "folder").mkdir()
    (folder / "binary").write_bytes(b"\x00\xff")
    for name, text in {
        "a.json": "{}",
        "headers": "X-Api-Key: demo\nnonsense-that-may-be-a-secret\n",
        "list.yaml": "- a\n",
        "cut.yaml": "x: [1\n",
        "word.yaml": "sever: {workers: 3}\n",
        "unit.yaml": "server: {drain_timeout: 10s}\n",
        "bytes.yaml": "backpressure: {max_body_bytes: 16MB}\n",
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("use", "line"), USES, ids=[use for use, _ in USES])
def test_a_wrong_use_ends_with_what_to_change(logops: Logops, folder: Path, use: str, line: str) -> None:
    before = sorted(path.name for path in folder.rglob("*"))
    done = logops(*use.split())
    assert done.code == (1 if use.startswith("config") else 2)
    assert done.out == ""
    assert done.err.splitlines()[-1].endswith(line)
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_a_method_in_lower_case_is_signed_with_a_warning(logops: Logops, keys: Path) -> None:
    done = logops("sign", "post", "/ingest")
    assert done.code == 0
    assert done.err == "warning: METHOD is post: its case counts, and the gateway takes POST\n"
    assert logops("sign", "POST", "/ingest").err == ""


class Keyboard(io.BytesIO):
    """Standard input that is a terminal."""

    buffer = property(lambda self: self)

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("use", ["parse", "sign POST /ingest --body-file -", "verify POST /ingest --headers -"])
def test_a_command_that_waits_for_a_terminal_says_so(
    logops: Logops, keys: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(b"X-Api-Key: demo\n"))
    said = "reading standard input; Ctrl-D ends it\n"
    assert logops(*use.split()).err == said
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"X-Api-Key: demo\n")))
    assert said not in logops(*use.split()).err


def test_a_folder_that_is_not_there_yet_is_no_silent_success(logops: Logops) -> None:
    done = logops("ship", "--once")
    assert done.code == 0
    assert "warning: sink.dir data/ingest does not exist: there is nothing to ship" in done.err
