from __future__ import annotations

from typing import Any

from logops_fast.authgw.syslog.connection import HIGH_WATER, SyslogConnection
from logops_fast.authgw.syslog.lane import Lane
from tests.authgw.syslog.test_lane import Way


class Transport:
    """What a connection asks of its transport."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.done.append(name)

    def is_closing(self) -> bool:
        return "abort" in self.done


def connection(lane: Lane | None) -> tuple[SyslogConnection, Transport, list[SyslogConnection]]:
    lost: list[SyslogConnection] = []
    made = SyslogConnection(1000, lambda _: lane, lost.append, lambda _: None)
    transport = Transport()
    made.connection_made(transport)  # type: ignore[arg-type]
    return made, transport, lost


def test_a_sender_is_not_read_from_while_too_many_of_its_lines_wait() -> None:
    way = Way()
    made, transport, _ = connection(way.lane)
    line = b"<34>" + b"x" * 995 + b"\n"
    made.data_received(line * (HIGH_WATER // len(line)))
    assert transport.done == []
    made.data_received(line)
    assert transport.done == ["pause_reading"]
    way.reply()
    assert transport.done == ["pause_reading", "resume_reading"]


def test_a_sender_is_held_with_all_others() -> None:
    way = Way()
    made, transport, _ = connection(way.lane)
    made.hold(True)
    made.data_received(b"<34>x\n")
    made.hold(False)
    assert transport.done == ["pause_reading", "resume_reading"]


def test_what_came_last_is_taken_whichever_way_a_connection_ends() -> None:
    for end in ("eof", "lost"):
        way = Way()
        made, _, lost = connection(way.lane)
        made.data_received(b"<34>one\n<34>with no end")
        if end == "eof":
            assert made.eof_received() is False
        made.connection_lost(None)
        way.tick()
        assert way.batches[0].body == b"<34>one\n<34>with no end\n"
        way.reply()
        assert lost == [made]


def test_one_that_is_turned_away_is_closed_and_nothing_of_it_is_taken() -> None:
    made, transport, lost = connection(None)
    assert transport.done == ["abort"]
    made.data_received(b"<34>x\n")
    made.connection_lost(None)
    assert lost == [made]
