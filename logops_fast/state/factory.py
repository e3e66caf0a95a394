"""Opens the state store: the one place that knows all back-ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logops_fast.state.interface import StateStore
from logops_fast.state.local_store import DEFAULT_CAPS, Caps

BACKENDS: Final = ("auto", "memory", "shared", "redis")


def open_state(
    backend: str,
    *,
    workers: int,
    directory: Path,
    redis_url: str,
    tolerance: float,
    caps: Caps = DEFAULT_CAPS,
    wall: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
    log: Callable[[str], None] | None = None,
    exclusive: bool = False,
    redis_allow_eviction: bool = False,
    redis_password_file: str = "",
) -> StateStore:
    """Open the state store: once, before the workers are forked, so that all have the same one.

    ``auto`` is ``shared``, for one worker too: its nonces and batch ids then survive a restart. ``tolerance`` is the
    clock tolerance of requests in seconds, ``directory`` that of ``shared``; ``log`` gets a sentence for each file that
    was created again, and for what is risky. ``exclusive`` keeps ``directory`` to this one gateway, of one worker,
    which saves it all locking. A Redis that is down is no error: ``healthy`` says so, and it is used once it is back.

    Raises:
        ValueError: for a back-end that is unknown or does not suit, a URL that is none, a password file that cannot be
            used, or a Redis that may evict nonces, unless ``redis_allow_eviction``.
        StateError: (``state.shared``) for a directory that cannot be used.
    """
    if backend in ("auto", "shared"):
        from logops_fast.state.shared import open_shared

        return open_shared(directory, tolerance, caps, wall, clock, log, exclusive=exclusive)
    if backend == "memory":
        if workers > 1:
            raise ValueError(
                f"state.backend: memory holds the state of one worker and there are {workers}: use shared, "
                "or server.workers: 1."
            )
        from logops_fast.state.memory import open_memory

        return open_memory(tolerance, caps, wall, clock)
    if backend == "redis":
        from logops_fast.state.redis_check import check_policy
        from logops_fast.state.redis_password import url_with_password
        from logops_fast.state.redis_store import RedisStore

        if redis_password_file:
            redis_url = url_with_password(redis_url, Path(redis_password_file))
        store = RedisStore(
            redis_url, tolerance, batch_ttl=caps.batch_ttl, allow_eviction=redis_allow_eviction, wall=wall
        )
        check_policy(redis_url, allow_eviction=redis_allow_eviction, log=log)
        return store
    raise ValueError(f'state.backend: expected one of {", ".join(BACKENDS)}, got "{backend}".')
