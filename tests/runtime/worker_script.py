"""A tiny supervised service for the tests: ``python -m tests.runtime.worker_script WORKERS BEHAVIOUR...``.

Each event is one line ``event index`` on stdout, written by one os.write so that lines of many processes stay whole.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import time

from logops_fast.errors import StartupError
from logops_fast.runtime.heartbeat import READY, WorkerState
from logops_fast.runtime.supervisor import Supervision, run_supervised
from logops_fast.runtime.worker import WorkerContext, run_worker
from logops_fast.telemetry import logs

BEHAVIOUR = frozenset(sys.argv[2:])
DRAIN_TIMEOUT = 1.0


def tell(event: str, *words: object) -> None:
    os.write(1, (" ".join(map(str, (event, *words))) + "\n").encode())


class TinyService:
    def __init__(self, context: WorkerContext) -> None:
        self.context = context
        self.hits = context.registry.counter("hits_total", "Starts.", ("worker",)).labels(str(context.index))

    async def start(self) -> None:
        if "start-error" in BEHAVIOUR:
            raise StartupError("port 1 is in use")
        if "start-bug" in BEHAVIOUR:
            raise ZeroDivisionError
        if "start-error-again" in BEHAVIOUR and self.hits._values[self.hits._slot]:
            raise StartupError("keys file is broken")
        if "slow-start" in BEHAVIOUR:
            tell("starting", self.context.index, os.getpid())
            await asyncio.sleep(0.3)
        self.hits.inc()
        self.context.registry.gauge("inflight", "In flight.").labels().set(1)
        tell("started", self.context.index, os.getpid())
        if "switch-interval" in BEHAVIOUR:
            tell("switches", sys.getswitchinterval())
        if "callback-error" in BEHAVIOUR:
            for _ in range(5):
                asyncio.get_running_loop().call_soon(functools.partial(int, "callback\nerror"))

    async def drain(self) -> None:
        tell("drain", self.context.index)
        total = {s.shape.name: s.series for s in self.context.registry.collect()}
        tell("hits", sum(v for (v,) in total["hits_total"].values()))
        tell("inflight", *total["inflight"][()])
        tell("restarts", *total["logops_worker_restarts_total"][()])
        if "slow-drain" in BEHAVIOUR:
            await asyncio.sleep(60)
        if "stuck-drain" in BEHAVIOUR:
            time.sleep(60)  # noqa: ASYNC251 - a loop that is stuck
        if "drain-bug" in BEHAVIOUR:
            raise ZeroDivisionError
        tell("drained", self.context.index)

    def state(self) -> WorkerState:
        return WorkerState("sink_stalled" if "stalled" in BEHAVIOUR and self.context.place == 0 else READY)

    def accept_for(self, places: frozenset[int]) -> None:
        tell("accepts", self.context.index, *sorted(places))

    def reload(self) -> None:
        tell("reload", self.context.index)
        if "hangs-on-reload" in BEHAVIOUR and self.context.place == 0:
            time.sleep(3600)
        if "reload-bug" in BEHAVIOUR:
            raise ZeroDivisionError


async def build(context: WorkerContext) -> TinyService:
    return TinyService(context)


def main(context: WorkerContext) -> int:
    if "early-signal" in BEHAVIOUR:
        os.kill(os.getpid(), signal.SIGTERM)  # before any handler of the worker's own exists
    if "dies-again" in BEHAVIOUR and context.slab.regions[context.index].published:
        return 1
    return run_worker(context, build, drain_timeout=DRAIN_TIMEOUT)


if __name__ == "__main__":
    logs.configure("info", "json")
    if "unkillable" in BEHAVIOUR:
        kill = os.kill
        spared: list[int] = []

        def kill_others(pid: int, number: int) -> None:
            """As a kernel that does not end a process in the uninterruptible sleep of a disk's driver."""
            if number != signal.SIGKILL or (spared and pid not in spared):
                kill(pid, number)
            elif not spared:
                spared.append(pid)

        os.kill = kill_others  # in the supervisor, and in the workers, which kill nothing
    plan = Supervision(worker_timeout=6.0, drain_timeout=DRAIN_TIMEOUT, on_ready=lambda: tell("ready", os.getpid()))
    code = run_supervised(int(sys.argv[1]), main, plan)
    tell("exit", code)
    sys.exit(code)
