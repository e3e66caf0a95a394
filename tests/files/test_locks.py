from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from logops_fast.files.locks import lock, locked, locked_directory, open_locked, try_lock


def holder(path: Path) -> subprocess.Popen[bytes]:
    """A process that holds the lock until its standard input ends."""
    script = f"""if True:
        import pathlib, sys
        from logops_fast.files.locks import open_locked
        assert open_locked(pathlib.Path({str(path)!r})) is not None
        print("held", flush=True)
        sys.stdin.read()"""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.process
def test_a_lock_excludes_other_processes_and_ends_with_its_own(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as other:
        assert open_locked(path) is None
        with locked(path) as mine:
            assert not mine
        other.kill()
    with locked(path) as mine:
        assert mine
        assert open_locked(path) is None, "another descriptor of this process is excluded as well"
    fd = open_locked(path)
    assert fd is not None
    os.close(fd)


def test_shared_locks_exclude_exclusive_ones_only(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    fds = [os.open(path, os.O_RDWR) for _ in range(3)]
    assert try_lock(fds[0], shared=True)
    assert try_lock(fds[1], shared=True)
    assert not try_lock(fds[2])
    for fd in fds[:2]:
        os.close(fd)
    assert try_lock(fds[2])
    os.close(fds[2])


def test_a_missing_file_is_created_only_on_request(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_locked(tmp_path / "lock", create=False)
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_no_descriptor_is_left_when_locking_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_fd: int, _operation: int) -> None:
        raise OSError("no locks on this file system")

    monkeypatch.setattr("fcntl.flock", refused)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError, match="no locks"):
        open_locked(tmp_path / "lock")
    assert len(os.listdir("/dev/fd")) == before


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    lock(first)
    got = threading.Event()

    def wait() -> None:
        lock(second)
        got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.is_set()
    os.close(first)
    assert got.wait(20)
    thread.join()
    os.close(second)


def test_a_directory_is_locked_for_one_editor_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with locked_directory(tmp_path):
            order.append("second")

    with locked_directory(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert entered.wait(20)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
