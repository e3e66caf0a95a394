"""Tables of version 0.4, written here as that version wrote them."""

from __future__ import annotations

import struct
import time
import zlib
from mmap import mmap
from pathlib import Path

import pytest
from xxhash import xxh3_128_digest

from logops_fast.state import batch_ids, nonces
from logops_fast.state.interface import BatchClaim, ClaimKind, NonceVerdict
from logops_fast.state.local_store import Caps, LocalStore
from logops_fast.state.shared import FILES, open_shared
from logops_fast.state.table import Geometry

CAPS = Caps(max_nonces=20_000, max_buckets=200, max_batch_ids=500)
SEED = 0x0123_4567_89AB_CDEF
BOOT = "boot-1"
NONCES = Geometry(nonces.KIND, 60, "I", 1)
BATCHES = Geometry(batch_ids.KIND, 9, "Q", 3, 131_072)


def old_table(path: Path, geometry: Geometry, boot: str = BOOT) -> mmap:
    """An empty file in the layout of 0.4: magic, version 1, kind, buckets, 128 slots, sizes, seed, boot, checksum."""
    fields = struct.pack(
        "=8sI16sIIIQQ36s", b"LOGOPSTB", 1, geometry.kind, geometry.buckets, 128, geometry.value_bytes,
        geometry.extra_bytes, SEED, boot.encode(),
    )  # fmt: skip
    with path.open("wb") as file:
        file.truncate(geometry.size)
        file.write(fields + struct.pack("=I", zlib.crc32(fields)))
    with path.open("r+b") as file:
        return mmap(file.fileno(), geometry.size)


def put(memory: mmap, geometry: Geometry, key: bytes, turn: int, values: tuple[int, ...]) -> None:
    digest = xxh3_128_digest(key, SEED)
    slot = struct.unpack("<I", digest[:4])[0] % geometry.buckets * 128 + turn
    _, keys, at, _, _ = geometry.sections()
    memory[keys + slot * 16 : keys + slot * 16 + 16] = digest
    layout = struct.Struct("=" + geometry.value_format * len(values))
    layout.pack_into(memory, at + slot * layout.size, *values)


def insert(store: LocalStore, key: bytes, expires_at: float) -> NonceVerdict:
    verdicts: list[NonceVerdict] = []
    store.nonces.insert(key, expires_at, verdicts.append)
    return verdicts[0]


def begin(store: LocalStore, batch_id: str) -> BatchClaim:
    claims: list[BatchClaim] = []
    store.batch_ids.begin("web", batch_id, 7, claims.append)
    return claims[0]


def test_an_upgrade_forgets_no_nonce_and_refuses_nothing_for_it(tmp_path: Path) -> None:
    memory = old_table(tmp_path / FILES[0], NONCES)
    expiry = int(time.time()) + 290
    for number in range(40):
        put(memory, NONCES, b"web\0%d" % number, number, (expiry,))
    put(memory, NONCES, b"web\0expired", 100, (int(time.time()) - 5,))
    horizon = int(time.time()) - 100
    struct.pack_into("=I", memory, NONCES.sections()[0], horizon)
    memory.close()
    said: list[str] = []
    store = open_shared(tmp_path, 300, CAPS, boot=BOOT, log=said.append)
    assert [line for line in said if "taken over, with 40 entries" in line]
    assert {insert(store, b"web\0%d" % number, expiry) for number in range(40)} == {NonceVerdict.REPLAY}
    assert insert(store, b"web\0signed before the upgrade, not used", expiry - 5) is NonceVerdict.FRESH
    assert insert(store, b"web\0expired", time.time() + 250) is NonceVerdict.FRESH
    assert insert(store, b"web\0before the horizon", horizon) is NonceVerdict.FORGOTTEN


def test_an_upgrade_forgets_no_batch_and_no_answer(tmp_path: Path) -> None:
    memory = old_table(tmp_path / FILES[2], BATCHES)
    until = int((time.monotonic() + 300) * 1000)
    extra = BATCHES.sections()[3]
    answer = b'{"accepted":3}'
    digest = xxh3_128_digest(b"web\0stored", SEED)
    record = struct.pack("=II", len(answer), zlib.crc32(answer, zlib.crc32(digest))) + answer
    memory[extra + 64 : extra + 64 + len(record)] = record
    put(memory, BATCHES, b"web\0stored", 0, (until, 2, 64))
    put(memory, BATCHES, b"web\0stored, the answer lost", 1, (until, 2, 4096))
    generation = 5
    struct.pack_into("=Q", memory, 4096 + 8 * (1 + 3), generation)  # worker 3
    put(memory, BATCHES, b"web\0claimed", 2, (until, 1 | 3 << 8 | generation << 32, 0))
    put(memory, BATCHES, b"web\0forgotten", 3, (int(time.monotonic() * 1000) - 1, 2, 64))
    memory.close()
    store = open_shared(tmp_path, 300, CAPS, boot=BOOT)
    assert begin(store, "stored") == BatchClaim(ClaimKind.DONE, answer)
    assert begin(store, "stored, the answer lost") == BatchClaim(ClaimKind.DONE, b"")
    assert begin(store, "claimed").kind is ClaimKind.IN_PROGRESS
    assert begin(store, "forgotten").kind is ClaimKind.NEW
    store.worker_started(3)
    assert begin(store, "claimed").kind is ClaimKind.NEW


@pytest.mark.parametrize("fault", ["boot", "damage", "cut", "kind"])
def test_what_is_no_table_of_that_version_is_not_taken_over(tmp_path: Path, fault: str) -> None:
    path = tmp_path / FILES[0]
    geometry = NONCES if fault != "kind" else NONCES._replace(kind=b"buckets")
    memory = old_table(path, geometry, "boot-0" if fault == "boot" else BOOT)
    expiry = int(time.time()) + 290
    put(memory, NONCES, b"web\0used", 0, (expiry,))
    if fault == "damage":
        memory[20] ^= 1
    memory.close()
    if fault == "cut":
        with path.open("r+b") as file:
            file.truncate(NONCES.size - 4096)
    said: list[str] = []
    store = open_shared(tmp_path, 300, CAPS, boot=BOOT, log=said.append)
    assert ["created again" in line for line in said] == [True]
    assert insert(store, b"web\0used", expiry) is NonceVerdict.FORGOTTEN
