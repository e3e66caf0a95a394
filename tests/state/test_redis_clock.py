"""The Redis server's clock, which all gateways go by."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logops_fast.state.interface import ClaimKind, NonceVerdict
from logops_fast.state.redis_store import RedisStore
from tests.state.support import Asker, soon
from tests.support.clock_shim import ClockShim
from tests.support.services import RedisServer, redis_server

pytestmark = [pytest.mark.service, pytest.mark.slow]


@pytest.fixture
def stepping(tmp_path: Path) -> Iterator[tuple[RedisServer, ClockShim]]:
    shim = ClockShim(tmp_path)
    with redis_server(shim.env) as server:
        yield server, shim


@pytest.mark.parametrize("step", [-300, -5, 5, 3600])
def test_a_step_of_the_server_s_clock_freezes_no_bucket(stepping: tuple[RedisServer, ClockShim], step: float) -> None:
    server, shim = stepping
    remote = Asker(RedisStore(server.url, 300, timeout=30))  # a busy machine is no server that is down
    assert remote.take(b"web", 10, rate=2).allowed
    assert not remote.take(b"web", 10, rate=2).allowed
    shim.set(step)
    deadline = time.monotonic() + 60
    while not remote.take(b"web", 10, rate=2).allowed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    remote.close()


@pytest.mark.parametrize("step", [-3600, -300, 3600, 86_400])
def test_a_step_of_the_server_s_clock_refuses_what_was_signed_before_and_nothing_after(
    stepping: tuple[RedisServer, ClockShim], step: float
) -> None:
    """A clock that jumps ahead makes the server drop all nonces at once: none of them may be good again."""
    server, shim = stepping
    # A busy machine is no server that is down.
    with contextlib.closing(Asker(RedisStore(server.url, 300, timeout=30))) as remote:
        # The horizon is set, by the first contact, before the nonce is signed that lies just over it.
        assert remote.insert(b"web\0first", soon()) is NonceVerdict.FRESH
        used = time.time() + 301
        assert remote.insert(b"web\0used", used) is NonceVerdict.FRESH
        remote.runner.run(asyncio.sleep(1.1))
        shim.set(step)
        assert remote.insert(b"web\0used", used) in (NonceVerdict.FORGOTTEN, NonceVerdict.REPLAY)
        assert remote.insert(b"web\0used", used) in (NonceVerdict.FORGOTTEN, NonceVerdict.REPLAY)
        for number in range(5):
            expiry = soon()
            assert remote.insert(b"web\0new-%d" % number, expiry) is NonceVerdict.FRESH
            assert remote.insert(b"web\0new-%d" % number, expiry) is NonceVerdict.REPLAY


def test_one_step_is_corrected_once_however_many_gateways_see_it(stepping: tuple[RedisServer, ClockShim]) -> None:
    server, shim = stepping
    one, other = Asker(RedisStore(server.url, 300)), Asker(RedisStore(server.url, 300))
    for remote in (one, other):
        remote.insert(b"web\0first", soon())
    shim.set(3600)
    for round_ in range(3):
        for remote in (one, other):
            assert remote.insert(b"web\0%d-%d" % (round_, id(remote)), soon()) is NonceVerdict.FRESH
    skew = float(server.ask(b"HGET logops:horizon skew").split(b"\r\n")[1])
    assert skew == pytest.approx(3600, abs=5)
    assert server.ask(b"HGET logops:horizon gen").split(b"\r\n")[1] == b"2"
    one.close()
    other.close()


def test_a_claim_lasts_as_long_as_it_is_renewed_and_no_longer(server: RedisServer) -> None:
    one = Asker(RedisStore(server.url, 300, claim_ttl=4, timeout=30))
    other = Asker(RedisStore(server.url, 300, claim_ttl=60, timeout=30))
    deadline = time.monotonic() + 100
    for number in range(100):  # again if this process was not scheduled for so long that a renewal came late
        kept, left = f"kept{number}", f"left{number}"
        assert one.begin("web", kept).kind is ClaimKind.NEW
        renewed, gap = time.monotonic(), 0.0
        assert one.begin("web", left).kind is ClaimKind.NEW
        while other.begin("web", left).kind is not ClaimKind.NEW:
            assert time.monotonic() < deadline
            one.renew("web", kept)
            gap, renewed = max(gap, time.monotonic() - renewed), time.monotonic()
        if gap < 2:
            break
    assert other.begin("web", kept).kind is ClaimKind.IN_PROGRESS
    assert not one.renew("web", left), "another gateway has it now"
    server.kill()
    assert not other.renew("web", left), "a server that does not answer confirms nothing"
    one.close()
    other.close()


def test_a_server_whose_clock_is_an_hour_ahead_from_the_start_refuses_nothing(
    stepping: tuple[RedisServer, ClockShim],
) -> None:
    server, shim = stepping
    shim.set(3600)
    remote = Asker(RedisStore(server.url, 300))
    expiry = soon()
    assert remote.insert(b"web\0nonce", expiry) is NonceVerdict.FRESH
    assert remote.insert(b"web\0nonce", expiry) is NonceVerdict.REPLAY
    remote.close()
