from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from logops_fast.state import growth, shared
from logops_fast.state.interface import BucketVerdict, NonceVerdict
from logops_fast.state.local_store import Caps, LocalStore
from logops_fast.state.shared import FILES, StateError, open_shared
from tests.state.support import FakeClock, fork, in_processes, kill

CAPS = Caps(max_nonces=2000, max_buckets=200, max_batch_ids=200)


def insert(store: LocalStore, key: bytes, expires_at: float) -> NonceVerdict:
    verdicts: list[NonceVerdict] = []
    store.nonces.insert(key, expires_at, verdicts.append)
    return verdicts[0]


def reopened(store: LocalStore, path: Path, caps: Caps = CAPS, boot: str | None = None) -> LocalStore:
    asyncio.run(store.close())
    return open_shared(path, 300, caps, boot=boot)


def test_a_restart_keeps_nonces_buckets_and_batch_ids(tmp_path: Path) -> None:
    expiry = time.time() + 305
    store = open_shared(tmp_path, 300, CAPS)
    assert insert(store, b"key", expiry) is NonceVerdict.FRESH
    store.buckets.take(b"web", 90, 100, 0.001, lambda verdict: None)
    store.batch_ids.finish("web", "b", b"answer")
    store = reopened(store, tmp_path)
    assert insert(store, b"key", expiry) is NonceVerdict.REPLAY
    verdicts: list[BucketVerdict] = []
    store.buckets.take(b"web", 90, 100, 0.001, verdicts.append)
    assert not verdicts[0].allowed
    claims: list[bytes] = []
    store.batch_ids.begin("web", "b", 1, lambda claim: claims.append(claim.answer))
    assert claims == [b"answer"]


def test_a_restart_forgets_nothing_of_before_and_refuses_nothing_new(tmp_path: Path) -> None:
    store = reopened(open_shared(tmp_path, 300, CAPS, wall=FakeClock(time.time() - 100)), tmp_path)
    assert insert(store, b"signed a minute before the restart", time.time() - 60 + 301) is NonceVerdict.FRESH


def test_after_a_boot_the_nonces_of_requests_signed_before_are_refused(tmp_path: Path) -> None:
    expiry = time.time() + 290
    store = open_shared(tmp_path, 300, CAPS, wall=FakeClock(time.time() - 100), boot="boot-1")
    assert insert(store, b"key", expiry) is NonceVerdict.FRESH
    store = reopened(store, tmp_path, boot="boot-2")
    assert insert(store, b"key", expiry) is NonceVerdict.FORGOTTEN


@pytest.mark.parametrize("damage", ["header", "cut", "empty", "other size"])
def test_a_damaged_or_other_file_is_made_anew_and_says_so(tmp_path: Path, damage: str) -> None:
    expiry = time.time() + 290
    store = open_shared(tmp_path, 300, CAPS, wall=FakeClock(time.time() - 100))
    assert insert(store, b"key", expiry) is NonceVerdict.FRESH
    asyncio.run(store.close())
    path = tmp_path / FILES[0]
    caps = CAPS
    if damage == "header":
        with path.open("r+b") as file:
            file.write(b"garbage")
    elif damage == "cut":
        os.truncate(path, path.stat().st_size - 4096)
    elif damage == "empty":
        os.truncate(path, 0)
    else:
        caps = CAPS._replace(max_nonces=4000)
    notices: list[str] = []
    store = open_shared(tmp_path, 300, caps, log=notices.append)
    assert insert(store, b"key", expiry) is NonceVerdict.FORGOTTEN
    assert len(notices) == 1
    assert str(path) in notices[0]


def test_nothing_is_made_anew_under_a_gateway_that_runs(tmp_path: Path) -> None:
    running = open_shared(tmp_path, 300, CAPS)
    with pytest.raises(StateError, match=r"nonces.table belongs to a gateway that is running"):
        open_shared(tmp_path, 300, CAPS._replace(max_nonces=4000))
    (tmp_path / FILES[0]).unlink()
    with pytest.raises(StateError, match="it is missing"):
        open_shared(tmp_path, 300, CAPS)
    assert insert(running, b"key", time.time() + 305) is NonceVerdict.FRESH


@pytest.mark.process
def test_a_gateway_killed_with_the_files_open_does_not_lock_them(tmp_path: Path) -> None:
    def hold(pipe: int) -> None:
        open_shared(tmp_path, 300, CAPS)
        os.write(pipe, b"open")
        signal.pause()

    pid, reader = fork(hold)
    with open(reader, "rb", buffering=0) as pipe:
        assert pipe.read(4) == b"open"
    kill(pid)
    open_shared(tmp_path, 300, CAPS._replace(max_nonces=4000))


@pytest.mark.process
def test_a_bucket_locked_by_a_process_that_is_killed_is_free(tmp_path: Path) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    table = store._tables[0]

    def hold(pipe: int) -> None:
        for bucket in range(table.buckets):
            table.lock(bucket)
        os.write(pipe, b"held")
        signal.pause()

    pid, reader = fork(hold)
    with open(reader, "rb", buffering=0) as pipe:
        assert pipe.read(4) == b"held"
    kill(pid)
    assert insert(store, b"key", time.time() + 305) is NonceVerdict.FRESH


@pytest.mark.process
def test_a_lock_keeps_another_process_out_until_it_is_let_go(tmp_path: Path) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    table = store._tables[0]
    expiry = time.time() + 305
    for bucket in range(table.buckets):
        table.lock(bucket)

    def blocked(index: int) -> bool:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        insert(store, b"key", expiry)
        return True

    with pytest.raises(ValueError, match="Expecting value"):  # the child ended without a result
        in_processes(1, blocked)
    for bucket in range(table.buckets):
        table.unlock(bucket)
    assert in_processes(1, blocked) == [True]


def test_the_files_are_the_owner_s_alone_and_have_their_room_on_disk(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    previous = os.umask(0)
    try:
        open_shared(directory, 300, CAPS)
    finally:
        os.umask(previous)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in directory.iterdir()) == sorted([*FILES, "lock"])
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for name in FILES:
        status = (directory / name).stat()
        assert status.st_blocks * 512 >= status.st_size


def test_a_directory_that_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"^The state directory .* cannot be used: Not a directory\.$"):
        open_shared(tmp_path / "file" / "state", 300, CAPS)


@pytest.mark.interpreted
def test_a_start_needs_room_for_full_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_free", lambda fd: CAPS.geometries()[0].size - 1)
    with pytest.raises(StateError, match=r"has no room for its \d+ MiB"):
        open_shared(tmp_path, 300, CAPS)


@pytest.mark.process
def test_no_room_for_the_files_is_a_start_up_error_and_leaves_none_behind(tmp_path: Path) -> None:
    def work(index: int) -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            open_shared(tmp_path, 300, CAPS)
        except StateError as error:
            return str(error)
        return ""

    (message,) = in_processes(1, work)
    assert "cannot be used: File too large" in message
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_symbolic_link_in_place_of_a_table_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    (state / FILES[0]).symlink_to(victim)
    with pytest.raises(StateError):
        open_shared(state, 300, CAPS)
    assert victim.read_text() == "precious"


def test_an_exclusive_store_is_shared_with_nobody_and_needs_no_locks(tmp_path: Path) -> None:
    held = open_shared(tmp_path, 300, CAPS, exclusive=True)
    verdicts: list[NonceVerdict] = []
    held.nonces.insert(b"a", time.time() + 900, verdicts.append)
    for exclusive in (True, False):
        with pytest.raises(StateError, match="does not share it"):
            open_shared(tmp_path, 300, CAPS, exclusive=exclusive)
    asyncio.run(held.close())
    shared = open_shared(tmp_path, 300, CAPS)
    with pytest.raises(StateError, match="does not share it"):
        open_shared(tmp_path, 300, CAPS, exclusive=True)
    shared.nonces.insert(b"a", time.time() + 900, verdicts.append)
    asyncio.run(shared.close())
    assert verdicts == [NonceVerdict.FRESH, NonceVerdict.REPLAY]


@pytest.mark.interpreted
def test_a_file_that_cannot_be_mapped_is_closed_and_the_directory_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int, size: int) -> object:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    asyncio.run(open_shared(tmp_path, 300, CAPS).close())
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with monkeypatch.context() as patch:
        patch.setattr(shared, "mmap", broken)
        with pytest.raises(StateError, match="cannot be used: Cannot allocate memory"):
            open_shared(tmp_path, 300, CAPS)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    asyncio.run(open_shared(tmp_path, 300, CAPS, exclusive=True).close())


def test_if_a_later_file_cannot_be_used_the_earlier_ones_are_unmapped(tmp_path: Path) -> None:
    (tmp_path / FILES[2]).mkdir()
    with pytest.raises(StateError, match="cannot be used"):
        open_shared(tmp_path, 300, CAPS)
    (tmp_path / FILES[2]).rmdir()
    asyncio.run(open_shared(tmp_path, 300, CAPS, exclusive=True).close())


@pytest.mark.interpreted
def test_a_file_that_is_wrong_as_soon_as_it_is_made_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "header", lambda geometry, seed, boot: bytes(200))
    with pytest.raises(StateError, match="was just created and cannot be used: it is not a table"):
        open_shared(tmp_path, 300, CAPS)


@pytest.mark.interpreted
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(fd: int, start: int, length: int) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(growth, "_reserve", full)
    with pytest.raises(StateError, match=r"has no room for its \d+ MiB: free some, or lower state.max_request_rate\."):
        open_shared(tmp_path, 300, CAPS)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_gateway_waits_for_one_that_is_creating_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other holds the lock for a moment, as one does that has just begun."""
    monkeypatch.setattr(shared, "JOIN_SECONDS", 60.0)
    holder = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    releaser = threading.Timer(0.2, os.close, (holder,))
    asyncio.run(open_shared_after(tmp_path, releaser).close())


def open_shared_after(path: Path, timer: threading.Timer) -> LocalStore:
    """Open while another process seems to be creating the files: none there yet, then the lock is free."""
    timer.start()
    try:
        with pytest.raises(StateError, match="it is missing"):
            open_shared(path, 300, CAPS)  # it joined, and found that the other had made nothing
    finally:
        timer.join()
    return open_shared(path, 300, CAPS)
