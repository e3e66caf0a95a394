"""Takes over the tables of version 0.4, so that an upgrade forgets no nonce and no batch id.

Only tables of this boot of the machine, and only what is still alive. The new table keeps the old one's seed: then the
digests that are stored are those of the same keys. A table in today's layout but of another size cannot be taken over:
it keeps too little of a nonce's digest to find its place in the new one.
"""

from __future__ import annotations

import struct
from mmap import mmap
from typing import Final

from logops_fast.state import batch_ids, nonces
from logops_fast.state.arena import Arena
from logops_fast.state.interface import MAX_WORKERS
from logops_fast.state.nonces import TableNonces
from logops_fast.state.table import BUCKET_BYTES, KEY_BYTES, SLOTS_PER_BUCKET, Geometry, Table, read_header

_VALUES: Final = {nonces.KIND: 1, batch_ids.KIND: 3}
_BUCKET_OF: Final = struct.Struct("<I").unpack_from


def old_geometry(data: bytes, kind: bytes, boot: str) -> tuple[Geometry, int] | None:
    """Return geometry and seed of a table of version 0.4 of this kind and boot, or None if ``data`` begins another."""
    found = read_header(data)
    if found is None or found.kind != kind or found.boot != boot.encode()[:36]:
        return None
    if kind == nonces.KIND and (found.slots_per_bucket, found.value_bytes) == (SLOTS_PER_BUCKET, 4):
        return Geometry(kind, found.buckets, "I", 1, found.extra_bytes), found.seed
    if kind == batch_ids.KIND and (found.slots_per_bucket, found.value_bytes) == (SLOTS_PER_BUCKET, 24):
        return Geometry(kind, found.buckets, "Q", 3, found.extra_bytes), found.seed
    return None


def carry_over(memory: mmap, old: Geometry, new: Table, wall: float, clock: float) -> int:
    """Copy what is alive from the mapped old table into an empty new one of the same seed; return how many entries."""
    source = Table(memory, old)
    keys_at = old.sections()[1]
    try:
        if old.kind == nonces.KIND:
            return _carry_nonces(source, memory, keys_at, new, wall)
        return _carry_batch_ids(source, memory, keys_at, new, int(clock * 1000))
    finally:
        source.close()


def _carry_nonces(old: Table, memory: mmap, keys_at: int, new: Table, now: float) -> int:
    nonces.set_horizon(new, max(old.metas[0 : 2 * old.buckets : 2]))
    store = TableNonces(new, lambda: now)
    count = 0
    for slot, expiry in enumerate(old.values):
        if expiry > now:
            at = keys_at + slot * KEY_BYTES
            count += store.restore(memory[at : at + KEY_BYTES], expiry)
    store.close()
    return count


def _carry_batch_ids(old: Table, memory: mmap, keys_at: int, new: Table, now: int) -> int:
    answers, target = Arena(old, 0), Arena(new, 0)
    generations = batch_ids.GENERATION_WORD
    new.words[generations : generations + MAX_WORKERS] = old.words[generations : generations + MAX_WORKERS]
    count = 0
    for bucket in range(old.buckets):
        first = bucket * (BUCKET_BYTES // KEY_BYTES)
        for slot in range(first, first + SLOTS_PER_BUCKET):
            until, state, position = old.values[3 * slot : 3 * slot + 3]
            if until <= now:
                continue
            at = keys_at + slot * KEY_BYTES
            key = memory[at : at + KEY_BYTES]
            answer = answers.read(key, position) if position else None
            place = new.victim(_BUCKET_OF(key)[0] % new.buckets, now)
            if new.values[4 * place] > now:
                continue  # a bucket that is full: the oldest ids go first anyway
            new.put(place, key)
            new.values[4 * place + 1] = state
            new.values[4 * place + 2] = target.append(key, answer) if answer is not None else 0
            new.values[4 * place + 3] = 0
            new.values[4 * place] = until
            count += 1
    return count
