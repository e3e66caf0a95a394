"""Kinds of fault of the disk, and what other programs do to the sink's files."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.harness import Fault, Site, faulty, stalling, up

HOLD: Final = 0.5  # s that a fault lasts
STALL: Final = 6.5  # s; the gateway calls a disk stalled after 5
PAUSE: Final = 1.2  # s; the sink looks once a second whether its files are still there
LONG_STALL: Final = 75.0  # s; a claim in Redis lasts 60

SINK: Final = frozenset({"sink_failed"})
STALLED: Final = frozenset({"sink_stalled"})
STATE: Final = frozenset({"state_unavailable"})  # a busy machine: Redis slower than the store waits

Inject = Callable[[Site, int], float]


def kill_workers(site: Site) -> None:
    site.back.gateway.kill_workers(*site.back.gateway.workers())


def day_files(site: Site) -> list[Path]:
    found = sorted(site.sink.glob("*.ndjson"))
    assert found, "no file to do anything to"
    return found


# A disk that stalls.


def stall(site: Site, mode: str) -> None:
    """Let the disk not answer, and wait until a call has met it: otherwise the run would show nothing."""
    assert site.slow_disk is not None
    before = site.slow_disk.met()
    site.slow_disk.set(mode)
    assert met(site, before, within=60), "the fault met no call"


def met(site: Site, before: int, *, within: float) -> bool:
    """Wait until a call has met the fault; return whether one has, within so many seconds."""
    assert site.slow_disk is not None
    deadline = time.monotonic() + within
    while site.slow_disk.met() == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def stalled(mode: str, seconds: float, *, then: Callable[[Site], None] | None = None) -> Inject:
    """The disk does not answer for a while; ``then`` is done shortly before it does."""

    def inject(site: Site, number: int) -> float:
        assert site.slow_disk is not None
        stall(site, mode)
        time.sleep(seconds)
        if then is not None:
            then(site)
        site.slow_disk.set()
        return time.monotonic()

    return inject


def one_worker_stalled(seconds: float) -> Inject:
    """The disk of one worker does not answer, as on a volume of its own; retries reach the others."""

    def inject(site: Site, number: int) -> float:
        disk = site.slow_disk
        assert disk is not None
        workers = site.back.gateway.workers()
        random.Random(number).shuffle(workers)
        for pid in workers:  # a worker may have none of the senders' connections, and writes nothing
            before = disk.met()
            disk.set("hang_write", pid=pid)
            if met(site, before, within=5):
                break
        time.sleep(seconds)
        disk.set()
        return time.monotonic()

    return inject


def stalled_drain(site: Site, number: int) -> float:
    """SIGTERM while the disk does not answer; it does before the drain runs out of time."""
    assert site.slow_disk is not None
    stall(site, "hang_write")
    site.front.gateway.process.terminate()
    time.sleep(1)
    site.slow_disk.set()
    assert site.front.gateway.process.wait(30) == 0, site.front.gateway.output()[-3000:]
    site.front.await_gone()
    site.front.restart()
    return time.monotonic()


def opening_hangs(site: Site, number: int) -> float:
    """Renamed files are to be opened again, which hangs until the workers are killed."""
    assert site.slow_disk is not None
    site.slow_disk.set("hang_open")
    rotate(site, number)
    time.sleep(PAUSE + HOLD)
    kill_workers(site)
    site.slow_disk.set()
    return time.monotonic()


def fails_then_cannot_be_cut(site: Site, number: int) -> float:
    """Syncs fail, and cutting the group away hangs."""
    stall(site, "fail_sync")
    assert site.slow_disk is not None
    site.slow_disk.set("hang_truncate")
    time.sleep(HOLD)
    site.slow_disk.set()
    return time.monotonic()


# A disk that fails.


def disk(fault: str, *, kill: bool = False, rename: bool = False) -> Inject:
    def inject(site: Site, number: int) -> float:
        assert site.control is not None
        site.control.set(disk=fault)
        if rename:
            rotate(site, number)
        time.sleep(PAUSE + HOLD if rename else HOLD)
        if fault != "queue_busy":  # which is not reported
            site.until_unready()
        if kill:
            kill_workers(site)
        site.control.set()
        return time.monotonic()

    return inject


def one_small_quota(site: Site, number: int) -> float:
    """One worker of two may not let its files grow, and is killed while a write has just fallen short."""
    import resource

    victim = site.back.gateway.workers()[0]
    largest = max(path.stat().st_size for path in day_files(site))
    resource.prlimit(victim, resource.RLIMIT_FSIZE, (largest + 700, resource.RLIM_INFINITY))
    time.sleep(HOLD)
    healed = time.monotonic()
    site.back.gateway.kill_workers(victim)
    return healed


# Other programs.


def rotate(site: Site, number: int) -> list[Path]:
    """Rename the files of the day, as log rotation does, out of the sink's directory."""
    moved = []
    for path in (*day_files(site), *sorted((site.sink / "rejected").glob("*.ndjson"))):
        target = site.sink.parent / f"rotated-{number}-{len(site.rotated)}"
        path.rename(target)
        site.rotated.append(target)
        moved.append(path)
    return moved


def renamed(*, then: str = "", create: bool = False) -> Inject:
    """Files of the day are renamed; ``then`` the workers are killed at once, or everything is."""

    def inject(site: Site, number: int) -> float:
        for path in rotate(site, number):
            if create:
                path.touch()
        time.sleep(random.Random(number).uniform(0.0, 0.3) if then else PAUSE)
        if then == "kill":
            kill_workers(site)
        elif then == "restart":
            site.front.kill()
            site.front.restart()
        return time.monotonic()

    return inject


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    """No worker writes meanwhile: what another program copies and cuts is then all that was there."""
    workers = site.back.gateway.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    for pid in workers:
        while "\nState:\tT" not in Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.001)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def until_written_again(paths: list[Path]) -> None:
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in paths):
        assert time.monotonic() < deadline, "nothing was written after the cut"
        time.sleep(0.002)
    time.sleep(0.1)  # the other workers' groups


def copied_and_cut(*, then: str = "") -> Inject:
    """Log rotation by copy and truncate."""

    def inject(site: Site, number: int) -> float:
        with stopped(site):
            for path in day_files(site):
                copy = site.sink.parent / f"rotated-{number}-{len(site.rotated)}"
                shutil.copyfile(path, copy)
                os.truncate(path, 0)
                site.rotated.append(copy)
            if then == "fails" and site.slow_disk is not None:
                site.slow_disk.set("short_write")
        if then == "kill":
            # Not while a group is under way that was in the file before: the copy has it, and it may not be
            # acknowledged. What counts is that the second in which the gateway has not looked yet is no danger.
            until_written_again(day_files(site))
            time.sleep(random.Random(number).uniform(0.0, 0.3))
            kill_workers(site)
        time.sleep(HOLD)
        if site.slow_disk is not None:
            site.slow_disk.set()
        return time.monotonic()

    return inject


def foreign_lines(site: Site, number: int) -> float:
    """Another program appends to our files: whole lines, then half of one."""
    for turn in range(4):
        for path in day_files(site):
            if not path.read_bytes().endswith(b"\n"):
                continue  # half a line of an earlier run, in the file of a worker that has had no batch since
            with path.open("ab", buffering=0) as file:
                line = b'{"key":"foreign.%d.%d.%d"}\n' % (number, turn, hash(path) & 0xFFFF)
                file.write(line if turn < 3 else line + b'{"key":"half')
        time.sleep(0.1)
    time.sleep(PAUSE)
    return time.monotonic()


def folder_moved(name: str = "", *, then: str = "") -> Inject:
    """A directory is renamed, after which the gateway must create it again; ``then`` the workers are killed."""

    def inject(site: Site, number: int) -> float:
        path = site.sink / name if name else site.sink
        target = site.sink.parent / f"moved-{number}-{len(site.rotated)}"
        path.rename(target)
        if name == "rejected":
            site.rotated += sorted(target.glob("*.ndjson"))
        elif not name:
            site.rotated.append(target)
        deadline = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < deadline, "it did not come back"
            time.sleep(0.01)
        time.sleep(PAUSE)
        if then == "kill":
            kill_workers(site)
        return time.monotonic()

    return inject


def journal_removed(site: Site, number: int) -> float:
    """The journal is deleted; it must come back, and hold what a crash a moment later needs."""
    shutil.rmtree(site.sink / ".journal")
    deadline = time.monotonic() + 60
    while not list((site.sink / ".journal").glob("*.log")):
        assert time.monotonic() < deadline, "the journal did not come back"
        time.sleep(0.01)
    time.sleep(PAUSE)
    kill_workers(site)
    return time.monotonic()


def name_taken(site: Site, number: int) -> float:
    """Directories take the names of the day's files."""
    taken = rotate(site, number)
    for path in taken:
        path.mkdir()
    time.sleep(PAUSE + HOLD)
    for path in taken:
        path.rmdir()
    return time.monotonic()


# The day's end.


def midnight(*, kill: bool = False) -> Inject:
    """The clock passes midnight UTC under load."""

    def inject(site: Site, number: int) -> float:
        assert site.control is not None
        wall = time.time()
        site.control.set(offset=86_400 - wall % 86_400 - 0.4)
        time.sleep(0.4 + (random.Random(number).uniform(0.0, 0.05) if kill else 0.6))
        if kill:
            kill_workers(site)
            time.sleep(HOLD)
        site.control.set()
        return time.monotonic()

    return inject


TOLERANT: Final = {"auth": {"clock_tolerance": 86_400, "failures": {"capacity": 1_000_000, "refill_per_sec": 100_000}}}

FAULTS: Final = [
    Fault("writes hang, 2 s", stalling(), stalled("hang_write", 2), harmless=True),
    Fault("writes hang, 6.5 s", stalling(), stalled("hang_write", STALL), STALLED, steady=True),
    Fault("syncs hang, 2 s", stalling(), stalled("hang_sync", 2), harmless=True, only_long=True),
    Fault("syncs hang, 6.5 s", stalling(), stalled("hang_sync", STALL), STALLED, steady=True, only_long=True),
    Fault("file system frozen, 2 s", stalling(), stalled("freeze", 2), harmless=True),
    Fault("file system frozen, 6.5 s", stalling(), stalled("freeze", STALL), STALLED, steady=True, only_long=True),
    Fault("file system frozen, 6.5 s, state on Redis", stalling(redis=True), stalled("freeze", STALL), STALLED,
          may_be_unready=STATE, steady=True, only_long=True),
    Fault("file system frozen, and kill -9", stalling(), stalled("freeze", 1, then=kill_workers)),
    Fault("writes of one worker hang, 2 s", stalling(), one_worker_stalled(2), harmless=True, only_long=True),
    Fault("writes of one worker hang, 6.5 s", stalling(), one_worker_stalled(STALL), STALLED, only_long=True),
    Fault("writes of one worker hang, 75 s, state on Redis", stalling(redis=True), one_worker_stalled(LONG_STALL),
          STALLED, may_be_unready=STATE, only_long=True, most=2),
    Fault("writes hang, and kill -9", stalling(), stalled("hang_write", HOLD, then=kill_workers), only_long=True),
    Fault("syncs hang, and kill -9", stalling(), stalled("hang_sync", HOLD, then=kill_workers), only_long=True),
    Fault("writes hang, and SIGTERM", stalling(), stalled_drain, may_be_unready=frozenset({"draining"})),
    Fault("files renamed, opening hangs, and kill -9", stalling(), opening_hangs, only_long=True),
    Fault("syncs fail, and cutting away hangs", stalling(), fails_then_cannot_be_cut, SINK),
    Fault("short writes, no space, and kill -9", stalling(), stalled("short_write", HOLD, then=kill_workers), SINK),
    Fault("EIO from the kernel's sync queue", faulty(), disk("queue_eio"), SINK, steady=True),
    Fault("EIO from the kernel's sync queue, and kill -9", faulty(), disk("queue_eio", kill=True), SINK, steady=True,
          only_long=True),
    Fault("the kernel's sync queue takes nothing", faulty(), disk("queue_busy"), harmless=True, only_long=True),
    Fault("EIO on the journal", faulty(), disk("journal_eio"), SINK, steady=True, only_long=True),
    Fault("EIO on the journal, and kill -9", faulty(), disk("journal_eio", kill=True), SINK, steady=True,
          only_long=True),
    Fault("EIO on opening, files renamed", faulty(), disk("open_eio", rename=True), SINK),
    Fault("file size limit of one worker, and kill -9", up(), one_small_quota, may_be_unready=SINK, only_long=True),
    Fault("files renamed", up(), renamed(), harmless=True, only_long=True),
    Fault("files renamed, and kill -9 within 0.3 s", up(), renamed(then="kill")),
    Fault("files renamed, and kill -9 of everything", up(), renamed(then="restart"), only_long=True),
    Fault("files renamed and created again", up(), renamed(create=True), harmless=True, only_long=True),
    Fault("files renamed and created again, and kill -9", up(), renamed(create=True, then="kill"), only_long=True),
    Fault("files copied and cut", up(), copied_and_cut()),
    Fault("files copied and cut, and kill -9", up(), copied_and_cut(then="kill"), only_long=True),
    Fault("files copied and cut, and no space", stalling(), copied_and_cut(then="fails"), SINK),
    Fault("another program appends", up(), foreign_lines),
    Fault("sink's directory renamed", up(), folder_moved()),
    Fault("sink's directory renamed, later kill -9", up(), folder_moved(then="kill"), only_long=True),
    Fault("directory of rejected events renamed", up(), folder_moved("rejected"), harmless=True, only_long=True),
    Fault("journal removed, later kill -9", up(), journal_removed),
    Fault("directories take the files' names", up(), name_taken, SINK),
    Fault("midnight with three workers", faulty(3, **TOLERANT), midnight()),
    Fault("midnight with three workers, and kill -9", faulty(3, **TOLERANT), midnight(kill=True), only_long=True),
]  # fmt: skip
