"""Every contender does the same job: the same records from the same bodies, and the same refusals."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import corpus, load, servers, step
from bench.machine import version
from bench.peers import contenders, rsyslog, run
from bench.peers.contenders import ALL, OURS, Contender
from bench.peers.plain import mask_text, mask_text_guarded
from logops_fast.ingest.pii.masker import Masker
from tests.bench.samples import made_up
from tests.bench.samples import results as sweep_results

HAND_PICKED = [
    {"msg": "paid with 4111 1111 1111 1111", "ts": "2026-01-02T03:04:05Z", "level": "error", "n": {"ip": "10.9.8.7"}},
    {"message": "Authorization: Bearer abcdefghij0123456789", "time": "2026-01-02T03:04:05Z", "severity": "crit"},
    {"msg": "from 2001:db8::8a2e:370:7334 and v1.2.3.4", "ts": "2026-01-02T03:04:05.123Z", "lvl": "WARNING"},
]  # fmt: skip
BODIES = [*corpus.bodies(3, 40), *corpus.bodies(1, 20, "clean"), json.dumps(HAND_PICKED).encode()]


@pytest.fixture(params=[one for one in ALL if one is not OURS], ids=lambda one: one.name)
def contender(request: pytest.FixtureRequest) -> Contender:
    """Each of the others; skipped where its framework is not installed (dependency group `bench`)."""
    one: Contender = request.param
    if one.needs and not version(one.needs):
        pytest.skip(f"{one.needs} is not installed")
    return one


@pytest.fixture(scope="module")
def records_of_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("ours")
    with contenders.running(OURS, folder) as server:
        assert [status for status, _ in send(server, requests())] == [200] * len(BODIES)
        yield records(server)


def requests() -> list[tuple[bytes, load.Body]]:
    plan = load.Plan(1, [load.Body.of(body, len(json.loads(body))) for body in BODIES])
    return list(islice(load.signed_requests(plan), len(BODIES)))


def send(server: servers.Server, made: list[tuple[bytes, load.Body]]) -> list[tuple[int, dict[str, Any]]]:
    """Each request in turn; statuses and answers."""
    answers = []
    for head, body in made:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
        connection.request("POST", server.target.decode(), body.data, headers)
        response = connection.getresponse()
        answers.append((response.status, json.loads(response.read())))
        connection.close()
    return answers


def records(server: servers.Server) -> list[dict[str, Any]]:
    """What is stored, in order; the time of receipt, which cannot be predicted, as a word."""
    assert server.files is not None
    lines = [line for path in sorted(server.files.glob("*.ndjson")) for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    sent = [event for body in BODIES for event in json.loads(body)]
    for record, event in zip(found, sent, strict=True):
        if not any(event.get(name) for name in ("ts", "timestamp", "time")):
            record["ts"] = "of receipt" if record["ts"].endswith("Z") else record["ts"]
    return found


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
def test_all_store_the_same_records(
    contender: Contender, tmp_path: Path, records_of_ours: list[dict[str, Any]]
) -> None:
    with contenders.running(contender, tmp_path) as server:
        made = requests()
        answers = send(server, made)
        again = send(server, made[:1])
        head, body = requests()[0]
        forged = send(server, [(head, load.Body(body.data.replace(b"m", b"n", 1), body.events, body.digest))])
        found = records(server)
    assert [status for status, _ in answers] == [200] * len(BODIES)
    assert [answer["accepted"] for _, answer in answers] == [body.events for _, body in made]
    assert [(status, answer["error"]) for status, answer in again] == [(401, "replay")]
    assert [(status, answer["error"]) for status, answer in forged] == [(401, "bad_content_sha256")]
    assert found == records_of_ours


@pytest.mark.parametrize("kind", ["mixed", "clean"])
def test_the_plain_masks_agree_with_ours_on_the_corpus(kind: corpus.Kind) -> None:
    masker = Masker()
    texts = [value for event in corpus.events(2000, kind) for value in event.values() if isinstance(value, str)]
    ours = [masker.mask_text(text) for text in texts]
    assert [mask_text(text) for text in texts] == ours
    assert [mask_text_guarded(text) for text in texts] == ours


PIECES = ("a", "eyJ", "Bearer ", "abcdefgh", "@", ".", ":", "-", " ", "10", "4111", "255", "2001", "b.com", "::")


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_the_guards_change_nothing(text: str) -> None:
    assert mask_text_guarded(text) == mask_text(text)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
def test_a_short_race_ends_in_a_table(tmp_path: Path) -> None:
    out = tmp_path / "peers"
    words = ["--rounds", "1", "--seconds", "0.3", "--batch-size", "10", "--rate", "1000", "--only", "logops-up"]
    assert run.main([*words, "--dir", str(tmp_path), "--out", str(out)]) == 0
    assert "| LogOps Fast, `up` | ours |" in out.with_suffix(".md").read_text()
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["full"]["logops-up"][0]["events_stored"] == found["full"]["logops-up"][0]["events_accepted"] > 0


def test_ratios_are_of_events_a_cpu_second() -> None:
    def steps(us: float) -> list[dict[str, Any]]:
        return [made_up(1000.0, cpu_seconds=3000 * us / 1e6).to_json()]

    plain = {"fastapi-plain": steps(32.0), "aiohttp-plain": steps(30.0)}
    full = {"logops-up": steps(4.0), **plain, "aiohttp-guarded": steps(9.0), "aiohttp-synced": steps(10.0)}
    found = {"machine": sweep_results()["machine"], "batch_size": 100, "rounds": 1, "seconds": 3.0, "equal_eps": 1000.0}
    text = run.table({**found, "full": full, "equal": full})
    assert "| LogOps Fast, `up` | ours | 250,000 | 1 |" in text
    assert "| FastAPI, uvicorn | written plainly | 31,250 | 8.0 x |" in text
    assert "| aiohttp | plain, guarded | 111,111 | 2.2 x |" in text
    assert "| aiohttp | plain, guarded, synced | 100,000 | 2.5 x |" in text
    assert "**7.5 x** the best *written plainly* (aiohttp), **2.2 x** the best *plain, guarded* (aiohttp)." in text


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.bench
def test_rsyslog_stores_every_line(tmp_path: Path) -> None:
    if rsyslog.binary() is None:
        pytest.skip("rsyslogd is not installed")
    found = rsyslog.run(2000, 1, tmp_path)
    assert [one["eps"] > 0 for one in found["rsyslog"]] == [True]
    assert any("lines per core" in line for line in rsyslog.table(found))


def test_bodies_of_a_step_differ() -> None:
    assert len({body.data for body in step.make_bodies(5)}) == step.BODIES
