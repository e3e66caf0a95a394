"""The answer's reader, bytes in, and the connection over a fake transport."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.http.client import ClientConnection
from logops_fast.http.response_reader import MAX_HEAD, MAX_INTERIM, ClientError, ClientResponse, ResponseReader
from tests.support.tables import each_of

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MAX_BODY = 1000

Result = tuple[Any, ...]


def read(pieces: list[bytes], *, bare: bool = False, eof: bool = False) -> Result:
    """What a reader makes of the pieces: the answer and whether the connection lives, or the error's kind."""
    reader = ResponseReader(MAX_BODY)
    reader.expect(bare=bare)
    response = None
    try:
        for piece in pieces:
            if response is None:
                response = reader.feed(piece)
            else:  # what a connection does with bytes that no request asked for
                reader.keep_alive = False
        if response is None and eof:
            response = reader.eof()
    except ClientError as error:
        return (error.kind,)
    if response is None:
        return ("incomplete",)
    return (response, reader.keep_alive)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


WHOLE: dict[str, tuple[bytes, int, bytes, bool]] = {
    "fixed": (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", True),
    "empty": (OK + b"content-length: 0\r\n\r\n", 200, b"", True),
    "chunked": (CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 200, b"abc0123456789", True),
    "chunked with a trailer": (CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n", 200, b"a", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not modified with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", True),
    "no reason phrase": (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", 200, b"x", True),
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + OK
        + b"content-length: 1\r\n\r\nx",
        200,
        b"x",
        True,
    ),
    "connection close": (OK + b"Connection: Close\r\ncontent-length: 1\r\n\r\nx", 200, b"x", False),
    "close among others": (OK + b"Connection: x\r\nConnection: close\r\ncontent-length: 0\r\n\r\n", 200, b"", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: 1\r\n\r\nx", 200, b"x", False),
    "surplus behind a fixed body": (OK + b"content-length: 1\r\n\r\nxGARBAGE", 200, b"x", False),
    "surplus behind chunks": (CHUNKED + b"1\r\na\r\n0\r\n\r\nGARBAGE", 200, b"a", False),
    "an answer too many": (CHUNKED + b"1\r\na\r\n0\r\n\r\n" + OK, 200, b"a", False),
    "a body where none may be": (b"HTTP/1.1 204 No Content\r\n\r\nxyz", 204, b"", False),
    "head at the bound": (
        OK + b"x: " + b"a" * (MAX_HEAD - len(OK) - 3 - 4 - 19) + b"\r\ncontent-length: 0\r\n\r\n",
        200,
        b"",
        True,
    ),
    "body at the bound": (OK + b"content-length: 1000\r\n\r\n" + b"b" * 1000, 200, b"b" * 1000, True),
}

BROKEN: dict[str, tuple[bytes, str]] = {
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol"),
    "garbage that never ends": (b"\x16\x03\x01" * 100, "protocol"),
    "blank line first": (b"\r\n" + OK + b"\r\n", "protocol"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n\r\n", "protocol"),
    "HTTP/0.9": (b"HTTP/0.9 200 OK\r\n\r\n", "protocol"),
    "status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "protocol"),
    "status 600": (b"HTTP/1.1 600 OK\r\n\r\n", "protocol"),
    "switching protocols": (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol"),
    "too many interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1), "protocol"),
    "length and chunks": (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "protocol"),
    "chunks and length": (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "protocol"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "protocol"),
    "signed length": (OK + b"Content-Length: +1\r\n\r\nx", "protocol"),
    "length past 64 bits": (OK + b"Content-Length: 18446744073709551616\r\n\r\nx", "protocol"),
    "unknown coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nx", "protocol"),
    "chunked twice": (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "protocol"),
    "chunks in HTTP/1.0": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol"),
    "bad chunk size": (CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", "protocol"),
    "chunk without its end": (CHUNKED + b"1\r\nabc\r\n0\r\n\r\n", "protocol"),
    "a length in the trailer": (CHUNKED + b"1\r\na\r\n0\r\nContent-Length: 7\r\n\r\n", "protocol"),
    "bare line feed": (OK + b"a: b\ncontent-length: 0\r\n\r\n", "protocol"),
    "folded line": (OK + b"a: b\r\n c\r\n\r\n", "protocol"),
    "NUL in a value": (OK + b"a: b\x00c\r\n\r\n", "protocol"),
    "head over the bound": (
        OK + b"x: " + b"a" * (MAX_HEAD - len(OK) - 3 - 4 - 18) + b"\r\ncontent-length: 0\r\n\r\n",
        "too_large",
    ),
    "head without end": (OK + b"x: " + b"a" * MAX_HEAD, "too_large"),
    "declared body over the bound": (OK + b"content-length: 1001\r\n\r\n", "too_large"),
    "chunks over the bound": (CHUNKED + b"3e9\r\n" + b"c" * 1001 + b"\r\n0\r\n\r\n", "too_large"),
    "endless chunk extension": (CHUNKED + b"1;" + b"e" * 20_000, "too_large"),
    "unlimited body over the bound": (OK + b"\r\n" + b"c" * 1001, "too_large"),
}


@each_of("name", WHOLE)
def test_an_answer_is_read_whole_and_byte_by_byte(name: str) -> None:
    data, status, body, keep_alive = WHOLE[name]
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        response, alive = read(pieces)
        assert (response.status, response.body, alive) == (status, body, keep_alive)


@each_of("name", BROKEN)
def test_a_broken_answer_is_refused_whole_and_byte_by_byte(name: str) -> None:
    data, kind = BROKEN[name]
    assert read([data]) == (kind,)
    assert read([data[i : i + 1] for i in range(len(data))]) == (kind,)


@given(
    st.sampled_from([data for data, *_ in WHOLE.values() if len(data) < 2000] + [data for data, _ in BROKEN.values()]),
    st.lists(st.integers(min_value=0, max_value=40_000), max_size=8),
    st.booleans(),
)
def test_how_the_bytes_were_split_makes_no_difference(data: bytes, cuts: list[int], eof: bool) -> None:
    assert read(split(data, cuts), eof=eof) == read([data], eof=eof)


@st.composite
def chunked_answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return CHUNKED + wire + b"0\r\n\r\n", b"".join(chunks)


@st.composite
def fixed_answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    body = draw(st.binary(max_size=200))
    return OK + b"content-length: %d\r\n\r\n%b" % (len(body), body), body


@given(st.one_of(chunked_answers(), fixed_answers()), st.lists(st.integers(min_value=0, max_value=500), max_size=8))
def test_any_body_in_any_split_arrives_as_it_was_sent(answer: tuple[bytes, bytes], cuts: list[int]) -> None:
    data, body = answer
    response, alive = read(split(data, cuts))
    assert response.body == body
    assert alive


@given(st.binary(max_size=300), st.sampled_from([b"", OK, OK + b"content-length: 5\r\n", CHUNKED]), st.booleans())
def test_no_bytes_raise_anything_but_a_client_error(junk: bytes, start: bytes, eof: bool) -> None:
    read([start + junk], eof=eof)


@given(st.sampled_from(sorted(WHOLE)), st.integers(min_value=0))
def test_an_answer_cut_off_is_closed_and_never_an_answer(name: str, cut: int) -> None:
    data, _, _, alive = WHOLE[name]
    if alive:
        assert read([data[: cut % len(data)]], eof=True) == ("closed",)


def test_the_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    for fields in (b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b""):
        response, alive = read([OK + fields + b"\r\n"], bare=True)
        assert response.body == b""
        assert alive
    assert read([OK + b"content-length: 5\r\n\r\nhello"], bare=True)[1] is False


def test_a_body_without_length_ends_with_the_connection() -> None:
    response, alive = read([OK + b"\r\nab", b"cd"], eof=True)
    assert (response.body, alive) == (b"abcd", False)
    assert read([OK + b"\r\nab", b"cd"]) == ("incomplete",)


def test_field_names_are_lower_case_and_repeated_fields_joined() -> None:
    response, _ = read([OK + b"X-A: 1\r\nx-a:2 \r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"])
    assert response.headers == {b"x-a": b"1, 2", b"retry-after": b"7", b"content-length": b"0"}


def test_a_trailer_is_no_header() -> None:
    response, _ = read([CHUNKED + b"0\r\nRetry-After: 9\r\n\r\n"])
    assert response.headers == {b"transfer-encoding": b"chunked"}


def test_one_reader_reads_one_answer_after_another() -> None:
    reader = ResponseReader()
    for name, (data, status, body, alive) in WHOLE.items():
        if alive:
            reader.expect()
            response = reader.feed(data)
            assert response is not None, name
            assert (response.status, response.body) == (status, body)


def test_the_bound_of_a_body_holds_for_each_answer_and_not_for_their_sum() -> None:
    reader = ResponseReader(MAX_BODY)
    for _ in range(3):
        reader.expect()
        response = reader.feed(CHUNKED + b"258\r\n" + b"x" * 600 + b"\r\n0\r\n\r\n")
        assert response is not None
        assert len(response.body) == 600


# The connection.


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.aborted = False

    def writelines(self, chunks: Any) -> None:
        self.written += b"".join(chunks)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Owner:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def exchange_ended(self, connection: ClientConnection, reusable: bool) -> None:
        self.events.append(reusable)

    def connection_ended(self, connection: ClientConnection) -> None:
        self.events.append("gone")


class Loop:
    def __init__(self) -> None:
        self.failures: list[dict[str, Any]] = []

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)


class Rig:
    """A connection over a fake transport, with what came out of it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.owner = Owner()
        self.transport = FakeTransport()
        self.results: list[ClientResponse | ClientError] = []
        self.connection = ClientConnection(self.owner, self.loop, MAX_BODY)  # type: ignore[arg-type]
        self.connection.connection_made(self.transport)

    def exchange(self) -> None:
        self.connection.exchange((b"head", b"body"), self.results.append, 1.0, bare=False)

    @property
    def kinds(self) -> list[str]:
        return [r.kind if isinstance(r, ClientError) else str(r.status) for r in self.results]


def test_an_exchange_writes_head_and_body_and_gives_one_answer() -> None:
    rig = Rig()
    rig.exchange()
    assert (rig.transport.written, rig.connection.busy) == (b"headbody", True)
    rig.connection.data_received(WHOLE["fixed"][0])
    assert (rig.kinds, rig.owner.events, rig.connection.busy) == (["200"], [True], False)
    assert not rig.transport.aborted


def test_an_answer_before_the_request_was_out_costs_the_connection() -> None:
    rig = Rig()
    rig.exchange()
    rig.transport.unsent = 100
    rig.connection.data_received(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    assert (rig.kinds, rig.owner.events) == (["413"], [False])
    assert rig.transport.aborted


def test_unsolicited_bytes_cost_the_connection() -> None:
    rig = Rig()
    rig.connection.data_received(WHOLE["fixed"][0])
    assert rig.transport.aborted
    assert not rig.connection.usable
    assert rig.results == []


def test_a_lost_connection_ends_its_exchange_once() -> None:
    rig = Rig()
    rig.exchange()
    rig.connection.data_received(OK)
    rig.connection.eof_received()
    rig.connection.connection_lost(None)
    assert (rig.kinds, rig.owner.events) == (["closed"], [False, "gone"])


def test_a_reset_is_not_the_end_of_a_body_without_length() -> None:
    rig = Rig()
    rig.exchange()
    rig.connection.data_received(OK + b"\r\nhalf")
    rig.connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    assert rig.kinds == ["closed"]
    assert "reset" in str(rig.results[0])


def test_a_callback_that_raises_is_reported_and_the_connection_lives() -> None:
    rig = Rig()
    rig.connection.exchange((b"x",), lambda _: 1 / 0, 1.0, bare=False)  # type: ignore[arg-type]
    rig.connection.data_received(WHOLE["fixed"][0])
    assert isinstance(rig.loop.failures[0]["exception"], ZeroDivisionError)
    assert rig.owner.events == [True]
    rig.exchange()
    rig.connection.data_received(WHOLE["fixed"][0])
    assert rig.kinds == ["200"]


def test_a_busy_connection_takes_no_second_exchange() -> None:
    rig = Rig()
    rig.exchange()
    with pytest.raises(RuntimeError, match="not free"):
        rig.exchange()


def test_a_callback_may_start_the_next_exchange() -> None:
    rig = Rig()

    def again(result: ClientResponse | ClientError) -> None:
        rig.results.append(result)
        rig.exchange()

    rig.connection.exchange((b"one",), again, 1.0, bare=False)
    rig.connection.data_received(WHOLE["fixed"][0])
    rig.connection.data_received(WHOLE["chunked"][0])
    assert rig.kinds == ["200", "200"]
    assert rig.transport.written == b"oneheadbody"
