"""What a fault is injected into, and the row of the table that its runs make."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import faulty_process
from tests.faults.faulty_process import Control
from tests.faults.load import Load, count
from tests.faults.proxy import Proxy
from tests.faults.slow_disk import SlowDisk
from tests.support.gateway import Gateway, request, start
from tests.support.ports import free_port
from tests.support.services import RedisServer, redis_server

WARM_UP = 0.25  # s of load before a fault
RECOVERY_TIMEOUT = 30.0  # s; far above what is expected: a machine that is busy must not fail a test

LENIENT = {"failures": {"capacity": 1_000_000, "refill_per_sec": 100_000}}
BASE: dict[str, Any] = {
    "auth": LENIENT,
    "ratelimit": {"per_emitter": {"capacity": 100_000_000, "refill_per_sec": 10_000_000}},
    "state": {"max_nonces": 200_000, "max_batch_ids": 50_000},
    "server": {"drain_timeout": 5},
}


def merged(*trees: dict[str, Any]) -> dict[str, Any]:
    """Settings over settings, section by section."""
    result: dict[str, Any] = {}
    for tree in trees:
        for section, values in tree.items():
            result[section] = {**result.get(section, {}), **values}
    return result


class Place:
    """One command in its folder, which can be started again after its end."""

    def __init__(self, folder: Path, command: str, settings: dict[str, Any], **options: Any) -> None:
        self.folder = folder
        self.command = command
        ports = {"authgw": {"port": free_port()}, "ingest": {"port": free_port()}}
        self.settings = merged(BASE, ports, settings)
        self.options = options
        self.gateway: Gateway = self._start()

    def _start(self) -> Gateway:
        return start(self.folder, self.command, settings=self.settings, **self.options)

    def restart(self) -> None:
        """Start it again: at the same ports, in the same folder."""
        self.gateway = self._start()

    def kill(self) -> None:
        """SIGKILL to the supervisor and its workers at once."""
        os.killpg(self.gateway.process.pid, signal.SIGKILL)
        self.gateway.process.wait(60)
        self.await_gone()

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor alone; its workers end by themselves."""
        self.gateway.process.kill()
        self.gateway.process.wait(60)
        self.await_gone()

    def await_gone(self) -> None:
        """Wait until no process of it is left."""
        deadline = time.monotonic() + 60
        while group_alive(self.gateway.process.pid):
            assert time.monotonic() < deadline, "a worker has outlived its supervisor"
            time.sleep(0.01)

    def terminate(self) -> None:
        """SIGTERM, which must end in an exit with 0."""
        code = self.gateway.stop(30)
        assert code == 0, self.gateway.output()[-3000:]

    def freeze(self, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT to all of its processes."""
        os.killpg(self.gateway.process.pid, number)

    def end(self) -> None:
        """End it, whatever state it is in."""
        with suppress(ProcessLookupError):
            self.freeze(signal.SIGCONT)
        with suppress(Exception):
            self.gateway.stop(10)
        with suppress(ProcessLookupError):
            os.killpg(self.gateway.process.pid, signal.SIGKILL)
        self.gateway.process.wait(60)


def group_alive(pgid: int) -> bool:
    """Whether a process group has a member that is not a zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == pgid and fields[0] != "Z":
            return True
    return False


@dataclass
class Site:
    """Everything that a fault can be injected into. ``front`` takes the load, ``sink`` is where it must arrive."""

    front: Place
    back: Place
    sink: Path
    proxy: Proxy | None = None
    redis: RedisServer | None = None
    control: Control | None = None
    slow_disk: SlowDisk | None = None
    rotated: list[Path] = field(default_factory=list)
    """Files and directories that the fault moved away: what they hold counts as well."""
    places: list[Place] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.front.gateway.auth_port

    def until_unready(self) -> None:
        """Wait until a fault that /readyz reports has been met: on a busy machine a commit may take a second."""
        deadline = time.monotonic() + 30
        while request(self.port, "GET", "/readyz", timeout=30).status == 200 and time.monotonic() < deadline:
            time.sleep(0.01)


Builder = Callable[[Path, ExitStack], Site]


def place(stack: ExitStack, folder: Path, command: str, settings: dict[str, Any], **options: Any) -> Place:
    """A Place that ends with the stack."""
    made = Place(folder, command, settings, **options)
    stack.callback(made.end)
    return made


def up(workers: int = 2, **more: Any) -> Builder:
    """Both gateways in one process; ``more`` are sections of settings."""

    def build(folder: Path, stack: ExitStack) -> Site:
        one = place(stack, folder, "up", more, workers=workers)
        return Site(one, one, folder / "data" / "ingest")

    return build


def faulty(workers: int = 1, **more: Any) -> Builder:
    """``up`` with a disk and a clock that obey a Control; ``more`` are sections of settings."""

    def build(folder: Path, stack: ExitStack) -> Site:
        path = folder / "control"
        control = Control(path, create=True)
        program = (faulty_process.__file__,)
        environment = {faulty_process.VARIABLE: str(path), "PYTHONPATH": str(Path(__file__).parents[2])}
        one = place(stack, folder, "up", more, program=program, env=environment, workers=workers)
        return Site(one, one, folder / "data" / "ingest", control=control)

    return build


def stalling(workers: int = 2, *, redis: bool = False) -> Builder:
    """``up`` on a disk that can stall, with its state in Redis or not."""

    def build(folder: Path, stack: ExitStack) -> Site:
        sink = folder / "data" / "ingest"
        disk = SlowDisk(folder / "slow-disk", sink)
        server = stack.enter_context(redis_server()) if redis else None
        state = {} if server is None else {"state": {"backend": "redis", "redis_url": server.url}}
        settings = merged({"sink": {"dir": str(sink)}}, state)
        one = place(stack, folder, "up", settings, workers=workers, env=disk.environment)
        return Site(one, one, sink, redis=server, slow_disk=disk)

    return build


def split(workers: int = 1) -> Builder:
    """The Auth Gateway, a proxy that can misbehave, and the Ingest Gateway."""

    def build(folder: Path, stack: ExitStack) -> Site:
        back = place(stack, folder / "ingest", "ingest", {}, workers=workers)
        proxy = stack.enter_context(Proxy(back.gateway.ingest_port))
        settings = {
            "forward": {
                "url": f"http://127.0.0.1:{proxy.port}/v1/logs",
                "connect_timeout": 0.5,
                "read_timeout": 1,
                "deadline": 2.5,
                "base_delay": 0.02,
                "max_delay": 0.1,
            },
            "breaker": {"window": 1, "min_calls": 5, "open_for": 0.3},
        }
        front = place(stack, folder / "auth", "authgw", settings, workers=workers)
        return Site(front, back, folder / "ingest" / "data" / "ingest", proxy=proxy)

    return build


def on_redis(workers: int = 2) -> Builder:
    """``up`` with its state in a real Redis."""

    def build(folder: Path, stack: ExitStack) -> Site:
        redis = stack.enter_context(redis_server())
        one = place(stack, folder, "up", {"state": {"backend": "redis", "redis_url": redis.url}}, workers=workers)
        return Site(one, one, folder / "data" / "ingest", redis=redis)

    return build


@dataclass(frozen=True)
class Fault:
    """A kind of fault. ``inject`` injects and heals it, and returns the moment of healing (monotonic seconds)."""

    name: str
    build: Builder
    inject: Callable[[Site, int], float]
    unready: frozenset[str] = frozenset()
    """Reasons of which /readyz must give at least one while it lasts; empty: it may never say anything but 200."""
    may_be_unready: frozenset[str] = frozenset()
    """Further reasons that it may give, depending on the timing."""
    steady: bool = False
    """Nothing can be stored while it lasts: after its first 503 /readyz must not say 200 before the end."""
    harmless: bool = False
    """No client may notice it at all."""
    most: int = 1000
    """The largest number of runs, however many are requested: it is slow."""
    recovery: float = RECOVERY_TIMEOUT
    """Maximum seconds until everything works again."""
    only_long: bool = False
    """Not among the few runs that a change must pass."""


@dataclass
class Row:
    """The outcome of all runs of one fault."""

    name: str
    runs: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: Row) -> None:
        """Add the runs of another row."""
        self.runs += other.runs
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.seconds += other.seconds
        self.wrong += other.wrong
        self.refused += other.refused

    def cells(self) -> tuple[str, ...]:
        mean = sum(self.seconds) / len(self.seconds) if self.seconds else 0.0
        return (
            self.name,
            str(self.runs),
            f"{self.acknowledged:,}",
            str(self.lost),
            str(self.duplicated),
            f"{self.refused.total():,}",
            f"{mean:.2f}",
            f"{max(self.seconds, default=0.0):.2f}",
            "wrong" if self.wrong else "right",
        )


HEADER = (
    "fault",
    "runs",
    "events acknowledged",
    "lost",
    "duplicated",
    "tries refused",
    "s to recover: mean",
    "worst",
    "/readyz",
)


def table(rows: list[Row]) -> str:
    """The rows as Markdown, with their sum."""
    total = Row("all", sum(r.runs for r in rows), sum(r.acknowledged for r in rows))
    total.lost, total.duplicated = sum(r.lost for r in rows), sum(r.duplicated for r in rows)
    total.seconds = [second for row in rows for second in row.seconds]
    total.refused = sum((row.refused for row in rows), Counter())
    total.wrong = [one for row in rows for one in row.wrong]
    cells = [HEADER, *(row.cells() for row in (*rows, total))]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER))]

    def line(values: tuple[str, ...]) -> str:
        padded = [v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(values, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(HEADER), rule, *map(line, cells[1:])])


@contextmanager
def site(fault: Fault, folder: Path) -> Iterator[Site]:
    """Start what the fault is injected into."""
    with ExitStack() as stack:
        yield fault.build(folder, stack)


def run(fault: Fault, folder: Path, runs: int, first: int = 0) -> Row:
    """Inject the fault ``runs`` times under load, and count after each. Raises AssertionError at the first breach.

    The runs are numbered from ``first``, which decides what is random in them.
    """
    row = Row(fault.name)
    with site(fault, folder) as target:
        load = Load.start(target.port, re.sub(r"\W+", "_", fault.name))
        try:
            load.recovered(time.monotonic(), RECOVERY_TIMEOUT)
            for number in range(first, first + runs):
                time.sleep(WARM_UP)
                began = time.monotonic()
                before = load.failures()
                healed = fault.inject(target, number)
                row.seconds.append(load.recovered(healed, fault.recovery))
                load.ready(RECOVERY_TIMEOUT)
                row.refused += load.failures() - before
                row.wrong += untruths(fault, load, began, healed)
                row.runs += 1
                counted = count([target.sink, *target.rotated], load.acknowledged())
                row.lost, row.duplicated = len(counted.lost), len(counted.duplicated)
                row.acknowledged = counted.acknowledged
                assert not counted.lost, (fault.name, number, counted.lost[:5])
                assert not counted.duplicated, (fault.name, number, counted.duplicated[:5])
                assert not load.unexpected(), (fault.name, number, load.unexpected()[:5])
                assert not row.wrong, (fault.name, number, row.wrong)
        finally:
            load.stop()
        # Once more with everything stopped: what was acknowledged last, and what an unanswered try left.
        for one in {id(p): p for p in (target.front, target.back)}.values():
            one.terminate()
        counted = count([target.sink, *target.rotated], load.acknowledged())
        row.lost, row.duplicated, row.acknowledged = len(counted.lost), len(counted.duplicated), counted.acknowledged
        assert not counted.lost, (fault.name, counted.lost[:5])
        assert not counted.duplicated, (fault.name, counted.duplicated[:5])
    if fault.harmless:
        assert not row.refused, (fault.name, row.refused)
    return row


def untruths(fault: Fault, load: Load, began: float, healed: float) -> list[str]:
    """Return what /readyz said that was not true."""
    during = [s for s in load.watcher.between(began, healed) if s.status]
    after = [s for s in load.watcher.between(healed, time.monotonic()) if s.status]
    said = {s.reason for s in (*during, *after) if s.status != 200}
    found = []
    if fault.unready and not said & fault.unready:
        found.append(f"it never said any of {set(fault.unready)}, but {said or '200 throughout'}")
    if strange := said - fault.unready - fault.may_be_unready:
        found.append(f"it said {strange}")
    if fault.steady:
        first = next((i for i, s in enumerate(during) if s.status != 200), len(during))
        # An answer may have waited for a worker to start, until after the healing.
        if ready := [s for s in during[first:] if s.status == 200 and s.answered < healed]:
            found.append(f"it said 200 {len(ready)} times while nothing could be stored")
    return found
