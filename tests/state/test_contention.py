"""A lock that its holder keeps: what waits for it, what does not, and what is refused in the end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from logops_fast.state.contention import Retries, ignore
from logops_fast.state.interface import BatchClaim, BucketVerdict, ClaimKind, NonceVerdict
from logops_fast.state.local_store import Caps, LocalStore
from logops_fast.state.shared import open_shared
from logops_fast.state.table import Table
from tests.state.support import fork, kill

CAPS = Caps(max_nonces=100_000, max_buckets=1000, max_batch_ids=1000)


def expiry() -> float:
    """Not a constant: a busy run may reach a test long after the module was imported."""
    return time.time() + 400


@contextmanager
def stopped_holder(take: Callable[[], None]) -> Iterator[int]:
    """A process that has taken locks, by ``take``, and was stopped then."""

    def work(pipe: int) -> None:
        take()
        os.write(pipe, b"x")
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(3600)

    pid, reader = fork(work)
    try:
        assert os.read(reader, 1) == b"x"
        _, status = os.waitpid(pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield pid
    finally:
        kill(pid)
        os.close(reader)


def on_loop(store: LocalStore, test: Callable[[], object]) -> None:
    async def run() -> None:
        result = test()
        if asyncio.iscoroutine(result):
            await result
        await store.close()

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what another process does has no event to wait for
            await asyncio.sleep(0.005)


def table_of(store: LocalStore, number: int) -> Table:
    return store._tables[number]


def home_of(store: LocalStore, key: bytes) -> int:
    """The bucket whose lock covers a nonce."""
    table = table_of(store, 0)
    return int.from_bytes(table.digest(key)[:8], "little") % (table.buckets // 16)


@pytest.mark.process
def test_a_stopped_holder_costs_its_own_bucket_and_no_wait(tmp_path: Path) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    held = home_of(store, b"web\0held")
    other = next(key for n in range(99) if home_of(store, key := b"web\0%d" % n) != held)
    seen: list[NonceVerdict] = []
    elsewhere: list[NonceVerdict] = []

    async def test() -> None:
        store.nonces.insert(b"web\0first", expiry(), ignore)
        with stopped_holder(lambda: table_of(store, 0).lock(held)):
            store.nonces.insert(b"web\0held", expiry(), seen.append)
            assert not seen, "it was answered although the lock is held"
            store.nonces.insert(other, expiry(), elsewhere.append)
            assert elsewhere == [NonceVerdict.FRESH]
            await until(lambda: seen)
            assert seen == [NonceVerdict.UNAVAILABLE]
        store.nonces.insert(b"web\0held", expiry(), seen.append)
        assert seen[1:] == [NonceVerdict.FRESH], "what was refused was not used, and a killed holder holds nothing"

    on_loop(store, test)


@pytest.mark.process
def test_what_waits_is_done_once_the_lock_is_free(tmp_path: Path) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    expires_at = expiry()  # one for all: a nonce is only given back with the expiry that it was stored with
    nonces, buckets, batch_ids = (table_of(store, number) for number in range(3))
    bucket = buckets.locate(b"web")[1]
    claimed = batch_ids.locate(b"web\0b")[1]
    seen: list[NonceVerdict] = []
    taken: list[BucketVerdict] = []
    claims: list[BatchClaim] = []
    renewed: list[bool] = []

    def take() -> None:
        nonces.lock(home_of(store, b"web\0n"))
        buckets.lock(bucket)
        batch_ids.lock(claimed)

    async def test() -> None:
        store.worker_started(0)
        store.nonces.insert(b"web\0n", expires_at, ignore)
        store.batch_ids.begin("web", "b", 7, ignore)
        with stopped_holder(take):
            store.nonces.remove(b"web\0n", expires_at)
            store.nonces.insert(b"web\0n", expires_at, seen.append)
            store.buckets.give(b"web", -4, 10, 1e-9)
            store.buckets.take(b"web", 1, 10, 1e-9, taken.append)
            store.batch_ids.renew("web", "b", renewed.append)
            store.batch_ids.abandon("web", "b")
            store.batch_ids.begin("web", "b", 8, claims.append)
            assert [*seen, *taken, *claims, *renewed] == []
        await until(lambda: seen and taken and claims and renewed)
        assert seen == [NonceVerdict.FRESH]
        assert (taken[0].available, round(taken[0].remaining)) == (True, 5)
        assert renewed == [True]
        assert claims == [BatchClaim(ClaimKind.NEW)]

    on_loop(store, test)


@pytest.mark.process
def test_a_stored_batch_is_noted_however_long_the_lock_is_held(tmp_path: Path) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    table = table_of(store, 2)
    refused: list[BatchClaim] = []
    claims: list[BatchClaim] = []

    async def test() -> None:
        store.worker_started(0)
        store.batch_ids.begin("web", "b", 7, ignore)
        with stopped_holder(lambda: table.lock(table.locate(b"web\0b")[1])):
            store.batch_ids.finish("web", "b", b"answer")
            store.batch_ids.begin("web", "b", 7, refused.append)
            await until(lambda: refused)
            assert refused == [BatchClaim(ClaimKind.UNAVAILABLE)]

        def stored() -> bool:
            store.batch_ids.begin("web", "b", 7, claims.append)
            return bool(claims) and claims[-1].kind is ClaimKind.DONE

        await until(stored)
        assert claims[-1].answer == b"answer"

    on_loop(store, test)


@pytest.mark.process
def test_neither_a_start_nor_a_stored_batch_waits_for_the_lock_of_the_words(tmp_path: Path) -> None:
    store = open_shared(tmp_path, 300, CAPS)
    table = table_of(store, 2)
    claims: list[BatchClaim] = []

    def test() -> None:
        with stopped_holder(lambda: table.lock(table.words_lock)):
            store.worker_started(1)
            store.batch_ids.begin("web", "b", 7, claims.append)
            store.batch_ids.finish("web", "b", b"answer")
            store.batch_ids.begin("web", "b", 7, claims.append)
        # The answer has no place while the ring's lock is held: it is worked out again from the body.
        assert claims == [BatchClaim(ClaimKind.NEW), BatchClaim(ClaimKind.DONE)]

    on_loop(store, test)


def test_a_lock_that_is_refused_for_another_reason_is_not_waited_for() -> None:
    results: list[str] = []
    errors = [BlockingIOError(), BlockingIOError(), OSError("no locks available")]

    def attempt() -> str:
        raise errors.pop(0)

    async def test() -> None:
        Retries().add(attempt, results.append, "otherwise", needed=True)
        await until(lambda: results)

    asyncio.run(test())
    assert (results, errors) == (["otherwise"], [])


def test_what_is_needed_is_done_at_the_end_and_nothing_else_is() -> None:
    tries: list[str] = []
    locked = True

    def attempt(name: str) -> None:
        tries.append(name)
        if locked:
            raise BlockingIOError

    async def test() -> None:
        nonlocal locked
        retries = Retries()
        retries.add(lambda: attempt("needed"), ignore, None, needed=True)
        retries.add(lambda: attempt("not needed"), ignore, None)
        await until(lambda: len(tries) >= 2)
        tries.clear()
        locked = False
        assert retries.close() == 0
        assert tries == ["needed"]
        assert retries.close() == 0
        assert tries == ["needed"]

    asyncio.run(test())


def test_what_cannot_be_done_at_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt() -> None:
        raise BlockingIOError

    async def test() -> None:
        retries = Retries()
        for _ in range(3):
            retries.add(attempt, ignore, None, needed=True)
        assert retries.close() == 3

    asyncio.run(test())


@pytest.mark.process
def test_a_stored_batch_is_noted_by_a_worker_that_ends(tmp_path: Path) -> None:
    """Its claim would otherwise last until it expires, and the batch, sent again, be stored twice."""
    store = open_shared(tmp_path, 300, CAPS)
    table = table_of(store, 2)

    async def test() -> None:
        store.worker_started(0)
        store.batch_ids.begin("web", "b", 7, ignore)
        with stopped_holder(lambda: table.lock(table.locate(b"web\0b")[1])):
            store.batch_ids.finish("web", "b", b"answer")
        await store.close()

    asyncio.run(test())
    after = open_shared(tmp_path, 300, CAPS)
    claims: list[BatchClaim] = []

    def again() -> None:
        after.worker_started(0)
        after.batch_ids.begin("web", "b", 7, claims.append)

    on_loop(after, again)
    assert [claim.kind for claim in claims] == [ClaimKind.DONE]


def test_what_still_waits_at_the_end_is_forgotten() -> None:
    tries: list[int] = []

    def attempt() -> None:
        tries.append(1)
        raise BlockingIOError

    async def test() -> None:
        retries = Retries()
        retries.add(attempt, ignore, None)
        await until(lambda: tries)
        retries.close()
        assert len(retries) == 0
        before = len(tries)
        await asyncio.sleep(0.05)  # decides nothing: a try too many can only be missed
        assert len(tries) == before

    asyncio.run(test())
