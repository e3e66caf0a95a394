"""The client of Loki, against a server that answers as Loki does."""

from __future__ import annotations

import dataclasses

import pytest

from logops_fast.http.pool import HttpPool
from logops_fast.shipper.answers import Effect
from logops_fast.shipper.entries import rfc3339_ns
from logops_fast.shipper.loki import Credentials, Loki, QueryError, encode
from logops_fast.shipper.questions import questions
from tests.loki.server import LokiServer
from tests.loki.store import Limits
from tests.shipper.support import PLACE, line, made
from tests.support.scripted_server import run


def client(server: LokiServer, url: str = "", **options: int) -> Loki:
    return Loki(HttpPool(server.url), url or server.url, Credentials, query_limit=options.get("limit", 5000))


def test_an_answer_that_is_cut_off_is_asked_for_in_halves() -> None:
    async def main() -> None:
        server = LokiServer()
        await server.start()
        now = server.store.wall()
        entries = made([line(rfc3339_ns(now - at), n=at) for at in range(300)])
        loki = client(server, limit=50)
        assert (await loki.push(encode(entries[:200]))).effect is Effect.STORED
        asked = questions(PLACE, ("m",), entries, None)
        assert await loki.ask(asked) == {entry.offset for entry in entries[:200]}
        assert server.requests["/loki/api/v1/query_range"] > 4
        await loki.aclose()
        await server.stop()

    run("uvloop", main)


def test_a_lower_limit_of_lokis_is_obeyed() -> None:
    async def main() -> None:
        server = LokiServer(dataclasses.replace(Limits(), max_entries_per_query=20))
        await server.start()
        now = server.store.wall()
        entries = made([line(rfc3339_ns(now - at), n=at) for at in range(60)])
        loki = client(server)
        await loki.push(encode(entries))
        assert len(await loki.ask(questions(PLACE, ("m",), entries, None))) == 60
        await loki.aclose()
        await server.stop()

    run("uvloop", main)


def test_what_cannot_be_asked() -> None:
    async def main() -> None:
        server = LokiServer()
        await server.start()
        asked = questions(PLACE, ("m",), made([line()]), None)
        loki = client(server)
        server.may_query = False
        with pytest.raises(QueryError, match="403") as denied:
            await loki.ask(asked)
        assert denied.value.denied
        await server.stop()
        with pytest.raises(QueryError) as away:
            await loki.ask(asked)
        assert not away.value.denied
        assert (await loki.push(b"")).effect is Effect.UNREACHABLE
        await loki.aclose()

    run("uvloop", main)


@pytest.mark.parametrize("path", ["", "/", "/loki/api/v1/push"])
def test_the_path_of_the_push_api_is_added(path: str) -> None:
    async def main() -> None:
        server = LokiServer()
        await server.start()
        loki = client(server, server.url + path)
        now = server.store.wall()
        entries = made([line(rfc3339_ns(now))])
        assert (await loki.push(encode(entries))).effect is Effect.STORED
        assert len(await loki.ask(questions(PLACE, ("m",), entries, None))) == 1
        await loki.aclose()
        await server.stop()

    run("uvloop", main)


def test_credentials() -> None:
    basic = Credentials(tenant="a", username="u", password="p").lines
    assert basic.endswith(b"x-scope-orgid: a\r\nauthorization: Basic dTpw\r\n")
    assert Credentials(username="u", token="t").lines.endswith(b"\r\nauthorization: Bearer t\r\n")
    with pytest.raises(ValueError, match="printable"):
        Credentials(token="a\r\nx: y")
