"""What the tests of the state stores share: a clock to set, children to fork, and answers to wait for."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from logops_fast.state.interface import BatchClaim, BucketVerdict, NonceVerdict, StateStore


def soon() -> float:
    """An expiry that is past the horizon even if the store begins a moment later."""
    return time.time() + 330


class FakeClock:
    """A clock that moves only when it is set."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Asker:
    """Asks any store, and waits for the answer on a loop of its own."""

    def __init__(self, store: StateStore) -> None:
        self.store = store
        self.runner = asyncio.Runner()

    def ask(self, call: Callable[[Callable[[Any], None]], None]) -> Any:
        async def answer() -> Any:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            call(future.set_result)  # a second call would raise InvalidStateError
            return await asyncio.wait_for(future, 5)

        return self.runner.run(answer())

    def insert(self, key: bytes, expires_at: float) -> NonceVerdict:
        verdict: NonceVerdict = self.ask(lambda done: self.store.nonces.insert(key, expires_at, done))
        return verdict

    def take(self, key: bytes, cost: float, capacity: float = 10, rate: float = 1e-6) -> BucketVerdict:
        verdict: BucketVerdict = self.ask(lambda done: self.store.buckets.take(key, cost, capacity, rate, done))
        return verdict

    def peek(self, key: bytes, capacity: float = 10, rate: float = 1e-6) -> BucketVerdict:
        verdict: BucketVerdict = self.ask(lambda done: self.store.buckets.peek(key, capacity, rate, done))
        return verdict

    def give(self, key: bytes, amount: float, capacity: float = 10, rate: float = 1e-6) -> None:
        self.on_loop(lambda: self.store.buckets.give(key, amount, capacity, rate))

    def remove(self, key: bytes, expires_at: float) -> None:
        self.on_loop(lambda: self.store.nonces.remove(key, expires_at))

    def begin(self, emitter: str, batch_id: str, digest: int = 1) -> BatchClaim:
        claim: BatchClaim = self.ask(lambda done: self.store.batch_ids.begin(emitter, batch_id, digest, done))
        return claim

    def renew(self, emitter: str, batch_id: str) -> bool:
        held: bool = self.ask(lambda done: self.store.batch_ids.renew(emitter, batch_id, done))
        return held

    def finish(self, emitter: str, batch_id: str, answer: bytes, digest: int = 0, ttl: float | None = None) -> None:
        self.on_loop(lambda: self.store.batch_ids.finish(emitter, batch_id, answer, digest, ttl))

    def abandon(self, emitter: str, batch_id: str) -> None:
        self.on_loop(lambda: self.store.batch_ids.abandon(emitter, batch_id))

    def on_loop(self, call: Callable[[], Any]) -> None:
        async def run() -> None:
            call()

        self.runner.run(run())

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Run ``work(pipe)`` in a forked child; its process id, and the end of the pipe to read from."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        os.close(reader)
        work(writer)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def in_processes(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work(index)`` returns (as JSON) in each of ``count`` forked children that run at once."""

    def child(index: int) -> Callable[[int], None]:
        return lambda pipe: _write_all(pipe, json.dumps(work(index)).encode())

    children = [fork(child(index)) for index in range(count)]
    results = []
    for pid, reader in children:
        with open(reader, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(pid, 0)
        assert status == 0
        results.append(json.loads(text))
    return results


def kill(pid: int) -> None:
    """kill -9, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


class WatchedLock:
    """The kernel's locks as a table uses them; another process seems to hold one for as many tries as ``held``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = 0
        self.locked: set[int] = set()
        self.asked: list[tuple[int, int, int, int]] = []
        monkeypatch.setattr(fcntl, "lockf", self.lockf)

    def lockf(self, fd: int, operation: int, length: int = 0, start: int = 0) -> None:
        if operation == fcntl.LOCK_UN:
            self.locked.discard(start)
            return
        self.asked.append((fd, operation, length, start))
        if self.held:
            self.held -= 1
            raise BlockingIOError(errno.EAGAIN, "held")
        self.locked.add(start)
