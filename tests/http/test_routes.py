from __future__ import annotations

import orjson
import pytest

from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal
from logops_fast.http.routes import Router
from tests.http.support import Wire, make_server, post
from tests.support.tables import each_of


def router() -> tuple[Router, list[tuple[str, str]]]:
    refused: list[tuple[str, str]] = []

    def on_refused(refusal: Refusal, peer: str) -> None:
        refused.append((refusal.reason, peer))

    def hello(request: Request) -> None:
        request.respond(Response(200, b'"hello"'))

    made = Router(on_refused)
    made.add("GET", b"/hello", hello)
    made.add("POST", b"/logs", hello)
    return made, refused


def ask(data: bytes) -> tuple[Wire, list[tuple[str, str]]]:
    app, refused = router()
    return Wire(server=make_server(app, clock=lambda: 0.0)).send(data), refused


@pytest.mark.parametrize(
    "line", [b"GET /hello HTTP/1.1", b"GET /hello?a=/logs HTTP/1.1", b"POST /logs HTTP/1.1"], ids=str
)
def test_a_route_is_found_by_method_and_path(line: bytes) -> None:
    wire, refused = ask(post(line=line))
    assert (wire.statuses, refused) == ([200], [])


def test_head_works_where_get_does() -> None:
    wire, refused = ask(post(line=b"HEAD /hello HTTP/1.1"))
    assert wire.output.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.output.endswith(b"content-length: 7\r\n\r\n")
    assert refused == []


@each_of("path", [b"/", b"/hello/", b"/HELLO", b"//hello", b"/%68ello"])
def test_an_unknown_path_is_404_and_names_those_that_exist(path: bytes) -> None:
    wire, refused = ask(post(line=b"GET %b HTTP/1.1" % path))
    ((status, _, body),) = wire.answers
    assert (status, refused) == (404, [("not_found", "192.0.2.7")])
    assert orjson.loads(body)["detail"].endswith("serves /hello, /logs.")


@pytest.mark.parametrize(("line", "allow"), [(b"PUT /hello", b"GET, HEAD"), (b"GET /logs", b"POST")])
def test_a_wrong_method_is_405_with_those_that_are_allowed(line: bytes, allow: bytes) -> None:
    wire, refused = ask(post(line=line + b" HTTP/1.1"))
    ((status, headers, _),) = wire.answers
    assert (status, headers[b"allow"], refused) == (405, allow, [("method_not_allowed", "192.0.2.7")])


def test_refusals_of_the_server_are_counted_too() -> None:
    _, refused = ask(b"\x00")
    assert refused == [("bad_request", "192.0.2.7")]


def test_a_path_that_is_not_served_is_404_with_its_own_sentence() -> None:
    app, refused = router()
    app.add_absent(b"/v1/traces", "Look elsewhere.")
    ((status, _, body),) = (
        Wire(server=make_server(app, clock=lambda: 0.0)).send(post(line=b"POST /v1/traces HTTP/1.1")).answers
    )
    assert (status, orjson.loads(body)["detail"], refused) == (404, "Look elsewhere.", [("not_found", "192.0.2.7")])
