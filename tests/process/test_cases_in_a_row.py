"""The case list through both gateways in a row, over sockets: the second sees only what the first forwarded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.proxy import Proxy
from tests.http.cases import BAD, GOOD, Case
from tests.http.support import post, read_answers
from tests.support.gateway import Gateway, running
from tests.support.wire import bytewise, exchange, statuses

pytestmark = [pytest.mark.process, pytest.mark.slow]

FORWARDED_FIELDS = {
    b"host", b"content-type", b"content-length", b"accept", b"x-emitter", b"x-scenario-id", b"x-batch-id"
}  # fmt: skip
JSON = b"Content-Type: application/json"
SMUGGLED = post(b'{"msg":"smuggled"}', JSON)


@dataclass
class Row:
    """Auth Gateway (it lets everybody in: the cases are about HTTP), a recorder, Ingest Gateway."""

    auth: Gateway
    ingest: Gateway
    seen: list[bytes]

    @property
    def port(self) -> int:
        return self.auth.auth_port


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Row]:
    folder = tmp_path_factory.mktemp("row")
    with (
        running(folder / "ingest", "ingest") as ingest,
        Proxy(ingest.ingest_port) as between,
        running(
            folder / "auth",
            "authgw",
            settings={"auth": {"mode": "none"}, "forward": {"url": f"http://127.0.0.1:{between.port}/v1/logs"}},
        ) as auth,
    ):
        between.record = []
        yield Row(auth, ingest, between.record)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_request_is_refused_and_nothing_of_it_reaches_the_second_gateway(row: Row, case: Case) -> None:
    before = len(row.seen)
    deliveries = {"whole": [case.data + SMUGGLED], "byte by byte": [*bytewise(case.data), SMUGGLED]}
    for name, pieces in deliveries.items():
        received = exchange(row.port, pieces)
        assert statuses(received) == [case.status], (name, received)
        assert json.loads(read_answers(received)[0][2])["error"] == case.reason
        assert read_answers(received)[0][1][b"connection"] == b"close"
    assert len(row.seen) == before


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_of_a_bad_request_after_a_good_one_only_the_good_one_reaches_the_second_gateway(row: Row, case: Case) -> None:
    before = len(row.seen)
    good = post(json.dumps({"msg": f"before {case.name}"}).encode(), JSON)
    received = exchange(row.port, [good + case.data + SMUGGLED])
    assert statuses(received) == [200, case.status], received
    assert len(row.seen) == before + 1


@pytest.mark.parametrize(("name", "data"), GOOD, ids=[name for name, _ in GOOD])
def test_a_good_request_has_one_answer_however_it_is_delivered(row: Row, name: str, data: bytes) -> None:
    outcomes = set()
    for pieces in ([data], bytewise(data), [data[: len(data) // 2], data[len(data) // 2 :]]):
        before = len(row.seen)
        (status,) = statuses(exchange(row.port, pieces, end=True))
        outcomes.add((status, len(row.seen) - before))
    assert len(outcomes) == 1, outcomes
    ((status, forwarded),) = outcomes
    assert status not in (408, 431, 500, 501, 502, 503, 505)
    assert forwarded <= 1


def test_a_request_that_ends_with_its_connection_never_reaches_the_second_gateway(row: Row) -> None:
    data = post(b'{"msg":"never whole"}', JSON)
    before = len(row.seen)
    for length in (10, data.index(b"\r\n\r\n"), data.index(b"\r\n\r\n") + 4, len(data) - 1):
        exchange(row.port, [data[:length]], end=True)
    chunks = post(b"5\r\nhello\r\n", b"Transfer-Encoding: chunked", length=False)
    exchange(row.port, [chunks], end=True)
    assert len(row.seen) == before


def test_the_second_gateway_sees_nothing_of_what_the_client_wrote_but_the_body(row: Row) -> None:
    for _, data in GOOD:
        exchange(row.port, [data], end=True)
    exchange(
        row.port,
        [post(b'{"msg":"mine"}', JSON, b"X-Other: a", b"X-Scenario-Id: s", b"Connection: close", b"Via: b")],
    )
    assert row.seen
    for request in row.seen:
        head = request.partition(b"\r\n\r\n")[0]
        line, *fields = head.split(b"\r\n")
        assert line == b"POST /v1/logs HTTP/1.1"
        names = [field.partition(b":")[0].lower() for field in fields]
        assert len(names) == len(set(names))
        assert set(names) <= FORWARDED_FIELDS, names
    assert not any("smuggled" in line for line in row.ingest.lines())
    rejected = row.ingest.metrics(row.ingest.ingest_port).get("logops_rejected_total", {})
    assert not [labels for labels in rejected if ("reason", "bad_request") in labels]
