"""Every kind of fault that is injected, and what /readyz must say of it."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

from tests.faults import disk_kinds, proxy
from tests.faults.harness import Builder, Fault, Site, faulty, on_redis, place, split, up

LONG: Final = bool(os.environ.get("LOGOPS_FAULT_RUNS"))
DOWN_FOR: Final = 30.0 if LONG else 2.0  # s
SUCCESSOR: Final = 1.0  # s in which another worker has usually started
HOLD: Final = 0.5  # s that a fault lasts where nothing else ends it

CIRCUIT = frozenset({"circuit_open"})
SINK = frozenset({"sink_failed"})
STATE = frozenset({"state_unavailable"})
DRAINING = frozenset({"draining"})

Inject = Callable[[Site, int], float]


def now() -> float:
    return time.monotonic()


# Processes that end.


def kill_worker(site: Site, number: int) -> float:
    workers = site.back.gateway.workers()
    victim = random.Random(number).choice(workers)
    healed = now()
    site.back.gateway.kill_workers(victim)
    return healed


def kill_supervisor(site: Site, number: int) -> float:
    site.front.kill_supervisor()
    site.front.restart()
    return now()


def kill_front(site: Site, number: int) -> float:
    site.front.kill()
    site.front.restart()
    return now()


def kill_back(site: Site, number: int) -> float:
    site.back.kill()
    site.back.restart()
    return now()


def kill_back_worker(site: Site, number: int) -> float:
    return kill_worker(site, number)


def kill_both(site: Site, number: int) -> float:
    site.front.kill()
    site.back.kill()
    site.back.restart()
    site.front.restart()
    return now()


def term_front(site: Site, number: int) -> float:
    site.front.terminate()
    site.front.restart()
    return now()


def term_back(site: Site, number: int) -> float:
    site.back.terminate()
    site.back.restart()
    return now()


def back_down(site: Site, number: int) -> float:
    site.back.kill()
    time.sleep(DOWN_FOR)
    site.back.restart()
    return now()


def freeze_back(site: Site, number: int) -> float:
    site.back.freeze(signal.SIGSTOP)
    time.sleep(1.6)
    site.back.freeze(signal.SIGCONT)
    return now()


def freeze_briefly(site: Site, number: int) -> float:
    site.back.freeze(signal.SIGSTOP)
    time.sleep(0.3)
    site.back.freeze(signal.SIGCONT)
    return now()


def reload(site: Site, number: int) -> float:
    for _ in range(5):
        site.front.gateway.signal(signal.SIGHUP)
        time.sleep(0.05)
    return now()


# The network between the gateways.


def network(mode: str, hold: float = HOLD) -> Inject:
    def inject(site: Site, number: int) -> float:
        assert site.proxy is not None
        before = site.proxy.faults
        site.proxy.mode = mode
        time.sleep(hold)
        site.proxy.mode = proxy.PASS
        if mode != proxy.REFUSE:
            assert site.proxy.faults > before, "the fault met no request: the run shows nothing"
        return now()

    return inject


def flapping(site: Site, number: int) -> float:
    assert site.proxy is not None
    for mode in (proxy.REFUSE, proxy.PASS, proxy.RESET_REQUEST, proxy.PASS, proxy.CUT_AFTER_BODY, proxy.PASS):
        site.proxy.mode = mode
        time.sleep(0.15)
    return now()


# The disk.


@cache
def may_mount() -> bool:
    """Whether this test may mount a file system of its own."""
    return os.geteuid() == 0 and subprocess.run(["mount", "--version"], capture_output=True).returncode == 0


def on_a_small_disk() -> Builder:
    """``up`` with its sink on a tmpfs of its own, or on the common disk where mounting is not allowed."""

    def build(folder: Path, stack: ExitStack) -> Site:
        sink = folder / "small"
        sink.mkdir()
        if may_mount():
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(sink)], capture_output=True, check=False
            )
            if mounted.returncode == 0:
                stack.callback(subprocess.run, ["umount", "-l", str(sink)], check=True)
        one = place(stack, folder, "up", {"sink": {"dir": str(sink)}}, workers=2)
        return Site(one, one, sink)

    return build


def fill(site: Site, number: int) -> float:
    if not os.path.ismount(site.sink):
        return limit_files(site, 1)  # no byte of any file: the gateway's own log is lost as well, as on a full disk
    ballast = site.sink / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 1 << 20
        while size >= 1:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
        end = now() + HOLD
        while now() < end:  # whatever a failed write gives back is taken again
            try:
                file.write(bytes(64))
            except OSError:
                time.sleep(0.005)
    ballast.unlink()
    return now()


def file_size_limit(site: Site, number: int) -> float:
    """Writes fall short and then fail with EFBIG, in the middle of a line."""
    largest = max((path.stat().st_size for path in site.sink.glob("*.ndjson")), default=0)
    return limit_files(site, largest + 700)


def limit_files(site: Site, size: int) -> float:
    """Let no file of the workers grow past ``size`` for a while."""
    workers = site.back.gateway.workers()
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    time.sleep(HOLD)
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return now()


def disk(fault: str, hold: float = HOLD) -> Inject:
    def inject(site: Site, number: int) -> float:
        assert site.control is not None
        site.control.set(disk=fault)
        time.sleep(hold)
        if fault != "sync_slow":  # which is not reported
            site.until_unready()
        site.control.set()
        return now()

    return inject


def disk_and_kill(fault: str) -> Inject:
    """The worker dies while a failed group cannot even be cut away again; its successor starts on the same disk."""

    def inject(site: Site, number: int) -> float:
        assert site.control is not None
        site.control.set(disk=fault)
        time.sleep(0.3)
        site.back.gateway.kill_workers(*site.back.gateway.workers())
        time.sleep(SUCCESSOR)
        site.control.set()
        return now()

    return inject


# Redis.


def redis_down(site: Site, number: int) -> float:
    assert site.redis is not None
    site.redis.kill()
    time.sleep(0.8)
    site.redis.start()
    return now()


def redis_restart(site: Site, number: int) -> float:
    assert site.redis is not None
    site.redis.kill()
    site.redis.start()
    return now()


def redis_hung(site: Site, number: int) -> float:
    assert site.redis is not None
    site.redis.hang()
    time.sleep(1.5)
    site.redis.resume()
    return now()


# The clock.


def clock(offset: float) -> Inject:
    def inject(site: Site, number: int) -> float:
        assert site.control is not None
        site.control.set(offset=offset)
        time.sleep(HOLD)
        site.control.set()
        return now()

    return inject


def clock_back_and_forth(site: Site, number: int) -> float:
    assert site.control is not None
    for offset in (90.0, -90.0, 200.0, -200.0, 3600.0, -3600.0):
        site.control.set(offset=offset)
        time.sleep(0.1)
    site.control.set()
    return now()


FAULTS: Final = [
    Fault("kill -9 of a worker", up(), kill_worker),
    Fault("kill -9 of the supervisor", up(), kill_supervisor, may_be_unready=DRAINING),
    Fault("kill -9 of both gateways in one process", up(), kill_front),
    Fault("kill -9 of the Auth Gateway", split(), kill_front, may_be_unready=CIRCUIT),
    Fault("kill -9 of the Ingest Gateway", split(), kill_back, may_be_unready=CIRCUIT),
    Fault("kill -9 of a worker of the Ingest Gateway", split(2), kill_back_worker, may_be_unready=CIRCUIT),
    Fault("kill -9 of both gateways", split(), kill_both, may_be_unready=CIRCUIT),
    # On a busy machine Redis may be slower than the store waits (0.5 s) in the minute that this takes.
    Fault(
        "kill -9 of a worker, state on Redis",
        on_redis(),
        kill_worker,
        may_be_unready=STATE,
        only_long=True,
        most=2,
        recovery=90,
    ),
    Fault("SIGTERM under load", up(), term_front, may_be_unready=DRAINING),
    Fault("SIGTERM to the Auth Gateway", split(), term_front, may_be_unready=CIRCUIT | DRAINING),
    Fault("SIGTERM to the Ingest Gateway", split(), term_back, may_be_unready=CIRCUIT),
    Fault("SIGHUP five times", up(), reload, harmless=True),
    Fault(f"Ingest Gateway down for {DOWN_FOR:g} s", split(), back_down, CIRCUIT, most=2 if LONG else 1),
    Fault("Ingest Gateway frozen, 1.6 s", split(), freeze_back, may_be_unready=CIRCUIT),
    Fault("Ingest Gateway frozen, 0.3 s", split(), freeze_briefly, may_be_unready=CIRCUIT),
    Fault("Ingest Gateway flapping", split(), flapping, may_be_unready=CIRCUIT),
    Fault("connections refused between them", split(), network(proxy.REFUSE), may_be_unready=CIRCUIT),
    Fault("bytes delayed, in pieces", split(), network(proxy.DELAY, 0.8), may_be_unready=CIRCUIT),
    Fault("silence", split(), network(proxy.SILENT, 1.3), may_be_unready=CIRCUIT),
    Fault("request cut in the middle", split(), network(proxy.CUT_REQUEST), may_be_unready=CIRCUIT),
    Fault("request reset in the middle", split(), network(proxy.RESET_REQUEST), may_be_unready=CIRCUIT),
    Fault("connection cut after the body", split(), network(proxy.CUT_AFTER_BODY), may_be_unready=CIRCUIT),
    Fault("answer truncated", split(), network(proxy.TRUNCATE_ANSWER), may_be_unready=CIRCUIT),
    Fault("500 instead of forwarding", split(), network(proxy.ANSWER_500), may_be_unready=CIRCUIT),
    Fault("503 instead of forwarding", split(), network(proxy.ANSWER_503), may_be_unready=CIRCUIT),
    Fault("500 after it was stored", split(), network(proxy.ANSWER_500_AFTER), may_be_unready=CIRCUIT),
    Fault("all of these at random", split(), network(proxy.CHAOS, 1.5), may_be_unready=CIRCUIT),
    # Not steady: a page that a failed write gives back may do for a probe before the ballast takes it again.
    Fault("disk full", on_a_small_disk(), fill, SINK),
    Fault("file size limit, writes fall short", up(), file_size_limit, SINK),
    Fault("EIO on write", faulty(), disk("write_eio"), SINK, steady=True),
    Fault("short writes, then no space", faulty(), disk("write_short"), SINK, steady=True),
    Fault("fsync fails", faulty(), disk("sync_eio"), SINK, steady=True),
    Fault("fsync fails, nor can it be cut away", faulty(), disk("sync_and_truncate_eio"), SINK, steady=True),
    Fault("the same, and kill -9", faulty(), disk_and_kill("sync_and_truncate_eio"), SINK, steady=True),
    Fault("EIO on write, and kill -9", faulty(), disk_and_kill("write_eio"), SINK, steady=True),
    Fault("fsync takes 0.7 s", faulty(), disk("sync_slow", 1.0), harmless=True),
    Fault("Redis down, 0.8 s, memory lost", on_redis(), redis_down, STATE, steady=True),
    Fault("Redis restarted, memory lost", on_redis(), redis_restart, may_be_unready=STATE),
    Fault("Redis hung, 1.5 s", on_redis(), redis_hung, STATE, steady=True),
    Fault("clock 100 s ahead", faulty(), clock(100), harmless=True),
    Fault("clock 100 s behind", faulty(), clock(-100), harmless=True),
    Fault("clock 3 days ahead", faulty(), clock(3 * 86_400)),
    Fault("clock 3 days behind", faulty(), clock(-3 * 86_400)),
    Fault("clock back and forth", faulty(), clock_back_and_forth),
    *disk_kinds.FAULTS,
]
