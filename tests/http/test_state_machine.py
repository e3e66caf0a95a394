"""The table in ``connection_state``'s docstring, walked at random: it is read from there, so it is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from logops_fast.http.connection_state import State
from logops_fast.http.exchange import Response
from tests.http.support import Collector, Parked, Wire, post

_STATES = ("IDLE", "HEAD", "WAIT", "BODY", "DISCARD")
_BODY = b"0123456789"


class _Silent(Collector):
    """Takes a body and leaves the answer to the test."""

    def end(self) -> None:
        pass


def read_table() -> dict[str, dict[str, str]]:
    """Event to state to next state, by the columns of the docstring."""
    # From the source: a compiled module has no docstring.
    source = Path(__file__).parents[2] / "logops_fast" / "http" / "connection_state.py"
    lines = (ast.get_docstring(ast.parse(source.read_text("utf-8")), clean=False) or "").splitlines()
    header = next(line for line in lines if line.lstrip().startswith("event "))
    starts = [header.index(name) for name in _STATES]
    table: dict[str, dict[str, str]] = {}
    for line in lines[lines.index(header) + 1 :]:
        if not line.strip():
            break
        event = re.split(r"\s{2,}", line.strip())[0]
        cells = [line[start : start + 8].strip() for start in starts]
        table[event] = {name: cell for name, cell in zip(_STATES, cells, strict=True) if cell}
    return table


TABLE = read_table()


def test_the_table_was_read_whole() -> None:
    assert len(TABLE) == 11
    assert {state for row in TABLE.values() for state in row.values()} == {*_STATES, "CLOSED"}


class Walk(RuleBasedStateMachine):
    """Bytes that arrive in WAIT are buffered; the walk sends none there, ``test_connection`` does."""

    def __init__(self) -> None:
        super().__init__()
        self.app = Parked()
        self.wire = Wire(self.app)
        self.expected = "IDLE"
        self.has_body = False
        self.sent = 0  # bytes of the body
        self.ended = False  # the end of the body has been delivered

    @property
    def state(self) -> str:
        return self.wire.connection.state.name

    def in_row(self, event: str) -> bool:
        return self.state in TABLE[event]

    def happened(self, event: str) -> None:
        self.expected = TABLE[event][self.expected]

    @invariant()
    def the_connection_is_where_the_table_says(self) -> None:
        assert self.state == self.expected

    @invariant()
    def a_closed_connection_holds_nothing(self) -> None:
        if self.expected in ("DISCARD", "CLOSED"):
            budget = self.wire.server.budget
            assert (budget.inflight_bytes, budget.inflight_requests) == (0, 0)

    @precondition(lambda self: self.state in ("IDLE", "HEAD", "DISCARD"))
    @rule()
    def part_of_a_head(self) -> None:
        self.wire.send(b"GET / HTTP/1.1\r\n" if self.state == "IDLE" else b"x-more: 1\r\n")
        self.happened("part of a head")

    @precondition(lambda self: self.state in ("IDLE", "HEAD", "DISCARD"))
    @rule(body=st.booleans())
    def a_whole_head(self, body: bool) -> None:
        if self.state == "HEAD":
            self.wire.send(b"host: a\r\n" + (b"content-length: 10\r\n" if body else b"") + b"\r\n")
        else:
            self.wire.send(post(_BODY)[: -len(_BODY)] if body else post(b""))
        if self.expected in ("IDLE", "HEAD"):
            self.has_body, self.sent, self.ended = body, 0, False
        self.happened("a whole head")

    @precondition(lambda self: self.state in ("IDLE", "HEAD", "DISCARD"))
    @rule()
    def a_bad_head(self) -> None:
        self.wire.send(b"bad: 1\n\r\n")
        self.happened("a bad head")

    @precondition(lambda self: self.state == "WAIT" and self.has_body and not self.ended and self.sent < len(_BODY))
    @rule()
    def the_body_is_accepted(self) -> None:
        request = self.app.requests[-1]
        request.accept_body(_Silent(self.app, request))
        self.happened("the body is accepted")

    @precondition(lambda self: self.state in ("WAIT", "BODY") and self.has_body and self.sent < len(_BODY) - 1)
    @rule()
    def part_of_the_body(self) -> None:
        self.wire.send(_BODY[self.sent : self.sent + 1])
        self.sent += 1
        self.happened("part of the body")

    @precondition(lambda self: self.state == "BODY")
    @rule()
    def the_end_of_the_body(self) -> None:
        self.wire.send(_BODY[self.sent :])
        self.sent, self.ended = len(_BODY), True
        self.happened("the end of the body")

    @precondition(lambda self: self.state in ("WAIT", "BODY"))
    @rule(close=st.booleans())
    def an_answer(self, close: bool) -> None:
        unread = self.has_body and not self.ended
        self.app.requests[-1].respond(Response(200, b"{}", close=close))
        self.happened("a last answer" if close or (unread and self.expected == "WAIT") else "an answer")
        self.has_body = False

    @precondition(lambda self: self.state != "CLOSED" and not self.wire.connection._eof)
    @rule()
    def end_of_file(self) -> None:
        self.happened("end of file")
        self.wire.eof()
        if self.expected == "WAIT":  # half-closed: the answer is still due, and is the last one
            self.app.requests[-1].respond(Response(200, b"{}"))
            self.wire.settle()
            self.expected = "CLOSED"

    @precondition(lambda self: self.state in TABLE["the deadline"])
    @rule()
    def the_deadline(self) -> None:
        self.wire.advance(80)
        self.happened("the deadline")
        if self.expected == "DISCARD":
            # 80 seconds are enough for the time after the last answer, too.
            self.happened("the deadline")

    @precondition(lambda self: self.state != "CLOSED")
    @rule()
    def the_connection_is_lost(self) -> None:
        self.wire.lose()
        self.happened("the connection is lost")

    @rule()
    def the_repr_names_the_state(self) -> None:
        assert f" {self.state}" in repr(self.wire.connection)


TestWalk = Walk.TestCase


def test_every_state_has_a_name_in_the_table() -> None:
    assert {state.name for state in State} == {*_STATES, "CLOSED"}
