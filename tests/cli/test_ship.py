from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Logops
from tests.loki.server import loki
from tests.loki.store import Limits


def stored(folder: Path, lines: list[str]) -> Path:
    """A sink's directory with a file of today."""
    ts = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = folder / "ingest" / time.strftime("%Y%m%d.ndjson", time.gmtime())
    path.parent.mkdir()
    text = (json.dumps({"ts": ts, "level": "INFO", "emitter": "web", "msg": line}) + "\n" for line in lines)
    path.write_text("".join(text))
    return path.parent


def test_once_and_replay(logops: Logops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = stored(tmp_path, ["a", "b", "x" * 3000])
    with loki(dataclasses.replace(Limits(), max_line_size=2000)) as server:
        monkeypatch.setenv("LOGOPS_SHIP__URL", server.url)
        done = logops("ship", "--once", "--from", "beginning", "--sink-dir", str(sink))
        assert done.code == 0
        assert "MB shipped in" in done.err
        assert "warning" not in done.err
        assert server.count() == 2
        again = logops("ship", "--once", "--from", "beginning", "--sink-dir", str(sink))
        assert again.code == 0
        assert f"--from beginning is for the first start; this one continues at {sink}/ship/positions.json" in again.err
        assert server.count() == 2
        monkeypatch.setenv("LOGOPS_SINK__DIR", str(sink))
        assert logops("ship", "--replay").code == 1
        server.store.limits = Limits()
        done = logops("ship", "--replay")
        assert (done.code, done.out) == (0, "1 lines are in Loki now, 0 are still refused\n")
        assert server.count() == 3


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("URL", "loki:3100", "expected http"),
        ("PROXY", "socks://x", "expected a proxy"),
        ("TOKEN_FILE", "/nowhere", "/nowhere cannot be read"),
        ("CA_FILE", "/nowhere", "ship.ca_file /nowhere cannot be used"),
        ("TENANT", "a\x7fb", "printable"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(
    logops: Logops, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"LOGOPS_SHIP__{variable}", value)
    done = logops("ship")
    assert done.code == 2
    assert words in done.err


def test_positions_to_import_that_are_none_stop_the_start(logops: Logops, tmp_path: Path) -> None:
    done = logops("ship", "--import-positions", str(tmp_path / "absent"))
    assert done.code == 2
    assert "absent" in done.err
