"""A look at Redis before the workers start: a server that may evict nonces is refused there and then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from logops_fast.state.redis_wire import eviction_fault

TIMEOUT: Final = 2.0
"""Seconds to wait for the server; one that does not answer in time is judged when it is first used."""


def check_policy(url: str, *, allow_eviction: bool, log: Callable[[str], None] | None = None) -> None:
    """Raise ValueError if the server at ``url`` may evict nonces; with ``allow_eviction`` only log it.

    A server that cannot be reached, or does not tell, passes here: the store asks again on each connection.
    """
    from redis import Redis, RedisError

    fault = None
    with contextlib.suppress(RedisError, OSError):
        client = Redis.from_url(
            url, protocol=2, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, single_connection_client=True
        )
        with contextlib.closing(client):
            info: Any = client.info("memory")
            fault = eviction_fault(info)
    if fault is None:
        return
    if not allow_eviction:
        raise ValueError(f"{fault}.")
    if log is not None:
        log(f"{fault.partition(';')[0]}; state.redis_allow_eviction accepts that")
