"""The `memory` store: tables in the memory of one worker, gone with its supervisor."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from mmap import mmap

from logops_fast.state import nonces
from logops_fast.state.local_store import DEFAULT_CAPS, Caps, LocalStore
from logops_fast.state.table import Geometry, Table, header


def memory_table(geometry: Geometry) -> Table:
    """Return an empty table in anonymous memory, without locks; pages that are never used take no memory.

    The mapping is shared with children: opened before a fork, it outlives a worker that is killed.
    """
    memory = mmap(-1, geometry.size)
    head = header(geometry, secrets.randbits(64), "")
    memory[: len(head)] = head
    return Table(memory, geometry)


def open_memory(
    tolerance: float,
    caps: Caps = DEFAULT_CAPS,
    wall: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> LocalStore:
    """Return a store for one worker. Requests signed before now are refused: earlier nonces are not known."""
    nonce_table, bucket_table, batch_table = (memory_table(geometry) for geometry in caps.geometries())
    nonces.set_horizon(nonce_table, nonces.fresh_horizon(wall(), tolerance))
    return LocalStore((nonce_table, bucket_table, batch_table), caps, wall, clock, tolerance=tolerance)
