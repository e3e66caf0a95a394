from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from logops_fast.state import growth, nonces
from logops_fast.state.growth import Growth
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps, LocalStore
from logops_fast.state.shared import FILES, open_shared
from tests.state.support import in_processes, soon

CAPS = Caps(max_nonces=400_000, max_buckets=200, max_batch_ids=200)
SMALL = Caps(max_nonces=200_000, max_buckets=200, max_batch_ids=200)
TMPFS = Path("/dev/shm")


def insert_many(store: LocalStore, name: bytes, count: int, expiry: float, step: int = 1) -> list[NonceVerdict]:
    verdicts: list[NonceVerdict] = []
    for index in range(0, count, step):
        store.nonces.insert(b"%s\0%d" % (name, index), expiry, verdicts.append)
    return verdicts


@pytest.fixture(params=["disk", "tmpfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "disk":
        yield tmp_path
        return
    if not os.access(TMPFS, os.W_OK):
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir=TMPFS) as directory:
        yield Path(directory)


def test_a_table_takes_space_as_it_fills_and_keeps_it_over_a_restart(place: Path, tmp_path: Path) -> None:
    exclusive = place == tmp_path  # each kind of store in one of the places
    expiry = soon()
    path = place / FILES[0]
    store = open_shared(place, 300, SMALL, exclusive=exclusive)
    status = path.stat()
    empty = status.st_blocks * 512
    tallies = nonces.geometry(SMALL.max_nonces).extra_bytes
    assert empty - tallies < (status.st_size - tallies) / 4
    insert_many(store, b"quiet", 2000, expiry)
    assert path.stat().st_blocks * 512 == empty
    assert set(insert_many(store, b"web", 75_000, expiry)) == {NonceVerdict.FRESH}
    assert path.stat().st_blocks * 512 >= status.st_size
    asyncio.run(store.close())
    store = open_shared(place, 300, SMALL, exclusive=exclusive)
    assert set(insert_many(store, b"web", 75_000, expiry, step=7)) == {NonceVerdict.REPLAY}
    asyncio.run(store.close())


@pytest.mark.process
def test_siblings_grow_one_table_together(place: Path) -> None:
    expiry = soon()
    store = open_shared(place, 300, SMALL)

    def work(index: int) -> list[str]:
        return sorted({verdict.name for verdict in insert_many(store, b"worker %d" % index, 25_000, expiry)})

    assert list(in_processes(3, work)) == [["FRESH"]] * 3
    for index in range(3):
        assert set(insert_many(store, b"worker %d" % index, 25_000, expiry)) == {NonceVerdict.REPLAY}
    asyncio.run(store.close())


_FULL_DISK = """
import json, os, sys, time
from pathlib import Path
from logops_fast.state.shared import open_shared
from tests.state.test_growth import CAPS, insert_many

place = Path(sys.argv[1])
clock = [time.time()]
store = open_shared(place, 300, CAPS, wall=lambda: clock[0])
expiry = clock[0] + 305
with (place / "filler").open("wb", buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(1 << 16))  # the last one falls short
    except OSError:
        pass
answers = []
for _ in range(2):
    verdicts = [verdict.name for verdict in insert_many(store, b"web", 40_000, expiry)]
    answers.append({name: verdicts.count(name) for name in set(verdicts)})
os.unlink(place / "filler")
clock[0] += 1
verdicts = [verdict.name for verdict in insert_many(store, b"web", 40_000, expiry)]
answers.append({name: verdicts.count(name) for name in set(verdicts)})
print(json.dumps(answers))
"""


@pytest.mark.process
def test_on_a_full_file_system_the_table_refuses_and_forgets_nothing_and_grows_once_there_is_room(
    tmp_path: Path,
) -> None:
    """A write to a page without space would end the process (SIGBUS)."""
    own_mounts = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
    mount = 'mount -t tmpfs -o size=32m none "$0"'
    if shutil.which("unshare") is None or subprocess.run([*own_mounts, mount, str(tmp_path)], check=False).returncode:
        pytest.skip("this system allows no mounts in a user namespace")
    command = [*own_mounts, mount + '; exec "$1" -c "$2" "$0"', str(tmp_path), sys.executable, _FULL_DISK]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=300)
    first, second, later = json.loads(done.stdout)
    assert first.keys() == {"FRESH", "CROWDED"}
    assert second == {"REPLAY": first["FRESH"], "CROWDED": first["CROWDED"]}
    assert later == {"REPLAY": first["FRESH"], "FRESH": first["CROWDED"]}


@pytest.mark.interpreted
def test_a_failure_to_reserve_is_tried_again_in_the_next_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    grower: Growth = store.nonces._growth
    bucket = store.nonces._table.buckets - 1
    assert grower.missing(bucket)
    calls: list[int] = []

    def full(fd: int, start: int, length: int) -> None:
        calls.append(start)
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(growth, "_reserve", full)
        assert not grower.reserve(bucket, 10.0)
        assert not grower.reserve(bucket, 10.9)
        assert len(calls) == 1
        assert not grower.reserve(bucket, 11.0)
        assert len(calls) == 2
    assert grower.missing(bucket)
    assert grower.reserve(bucket, 12.0)
    assert not grower.missing(bucket)
    asyncio.run(store.close())


@pytest.mark.interpreted
def test_without_fallocate_the_file_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    store = open_shared(tmp_path, 300, CAPS, boot="boot")
    status = (tmp_path / FILES[0]).stat()
    assert status.st_blocks * 512 >= status.st_size
    assert not store.nonces._growth.missing(store.nonces._table.buckets - 1)
    asyncio.run(store.close())
