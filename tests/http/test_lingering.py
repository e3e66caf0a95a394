from __future__ import annotations

import pytest

from logops_fast.http.lingering import begin_lingering
from tests.http.support import FakeTransport


@pytest.mark.parametrize("unread", [True, False])
def test_our_half_is_closed_and_the_peer_is_waited_for(unread: bool) -> None:
    transport = FakeTransport({})
    assert begin_lingering(transport, unread)
    assert (transport.eof_written, transport.closed) == (True, False)


@pytest.mark.parametrize("unread", [True, False])
def test_over_tls_only_a_peer_that_may_still_send_is_waited_for(unread: bool) -> None:
    transport = FakeTransport({"ssl_object": object()})
    assert begin_lingering(transport, unread) is unread
    assert not transport.eof_written
