from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from logops_fast.authgw.syslog.datagrams import Datagrams
from logops_fast.authgw.syslog.metrics import SyslogMetrics
from logops_fast.telemetry.registry import Registry
from tests.authgw.syslog.test_lane import Way

Pair = tuple[Datagrams, socket.socket, Way]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A socket that is read, one that sends to it, and where the lines go."""
    way = Way(udp=True)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        sender.connect(receiver.getsockname())
        datagrams = Datagrams(receiver, lambda _: way.lane, way.shared.metrics, 1000)
        yield datagrams, sender, way


def test_datagrams_are_read_until_there_is_none(pair: Pair) -> None:
    datagrams, sender, way = pair
    for number in range(5):
        sender.send(b"<34>%d\n" % number)
    sender.send(b"\n")
    assert datagrams.read(at_most=2)
    assert not datagrams.read()
    way.tick()
    assert way.batches[0].body == b"".join(b"<34>%d\n" % number for number in range(5))


def test_an_address_that_may_not_send_is_counted() -> None:
    registry = Registry()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        sender.sendto(b"<34>x", receiver.getsockname())
        Datagrams(receiver, lambda _: None, SyslogMetrics(registry), 1000).read()
    assert registry.sums("logops_syslog_dropped_total")[("udp", "not_allowed")] == (1,)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what it has dropped")
def test_what_the_kernel_drops_is_counted_once(pair: Pair) -> None:
    datagrams, sender, way = pair
    datagrams.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = 200
    for _ in range(sent):
        sender.send(b"<34>" + b"x" * 500)
    datagrams.read()
    sender.send(b"<34>after")  # the number comes with the next datagram
    datagrams.read()
    taken = way.lane.lines + sum(batch.items for batch in way.batches)
    lost = way.dropped()[("udp", "kernel")]
    assert lost > 0
    assert taken + lost == sent + 1
    # A successor on the same socket does not count them again.
    another = Way(udp=True)
    successor = Datagrams(datagrams.sock, lambda _: another.lane, another.shared.metrics, 1000, fresh=False)
    sender.send(b"<34>again")
    successor.read()
    assert another.lane.lines == 1
    assert another.dropped() == {}
