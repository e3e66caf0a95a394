"""The way to Loki: gateways under load, their shippers, and a Loki that keeps Loki's rules, or a real one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from tests.faults import faulty_process
from tests.faults.faulty_process import Control
from tests.faults.harness import BASE, merged
from tests.faults.load import EVENTS_A_BATCH, Load
from tests.loki.real import RealStore, real_loki
from tests.loki.server import ThreadedLoki, loki
from tests.loki.store import HOUR, SECOND, Limits
from tests.support.gateway import Gateway, request, start
from tests.support.ports import free_port

FAR = 300.0  # s
DAY = 86_400  # s
PAUSE = 0.05  # s between two batches of a sender: a real Loki shares the machine
# Blocks are cut after every 4 KiB, and three shards take turns: a line that is pushed twice is there twice.
HARD = Limits(block_size=4096, shards=3, query_ingesters_within=0)


class Machine:
    """A gateway of two workers with load on it, and its shipper."""

    def __init__(self, folder: Path, name: str, server: ThreadedLoki, control: Path | None) -> None:
        ship = {
            "url": server.url, "start": "beginning", "poll_interval": 0.05, "base_delay": 0.05, "max_delay": 0.2,
            "settle": 0.1 if real_loki() is None else 6.0, "batch_bytes": 16_384 if real_loki() is None else 262_144,
            "query_within": 0,
            "machine": f"{server.machine}-{name}", "timeout": 5 if real_loki() is None else 30,
        }  # fmt: skip
        settings = merged(BASE, {"ship": ship, "auth": {"clock_tolerance": DAY}})
        self.program: tuple[str, ...] = ("-m", "logops_fast")
        self.environment: dict[str, str] = {}
        if control is not None:
            self.program = (faulty_process.__file__,)
            self.environment = {
                faulty_process.VARIABLE: str(control), "PYTHONPATH": str(Path(__file__).parents[2])
            }  # fmt: skip
        self.gateway: Gateway = start(folder, settings=settings, workers=2, program=self.program, env=self.environment)
        self.admin = free_port()
        self.log = folder / "ship.log"
        self.shipper: subprocess.Popen[bytes] | None = None
        self.load = Load.start(self.gateway.auth_port, f"ship-{name}", senders=2, pause=PAUSE)
        self.ship()

    @property
    def sink(self) -> Path:
        return self.gateway.sink

    def ship(self) -> None:
        """Start the shipper, in a session of its own."""
        with self.log.open("ab") as output:
            self.shipper = subprocess.Popen(
                [sys.executable, *self.program, "ship", "--config", self.gateway.config.name],
                cwd=self.gateway.dir,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment, "LOGOPS_ADMIN__PORT": str(self.admin)},
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the shipper's supervisor and worker at once."""
        assert self.shipper is not None
        os.killpg(self.shipper.pid, signal.SIGKILL)
        self.shipper.wait(10)

    def followed(self) -> list[Path]:
        """The files that the shipper has open, under the names that they have now."""
        assert self.shipper is not None
        pid = self.shipper.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        inodes = set()
        for fd in (fd for child in children for fd in Path(f"/proc/{child}/fd").iterdir()):
            with contextlib.suppress(FileNotFoundError):  # it was open for a moment
                inodes.add(fd.stat().st_ino)
        return [path for path in self.files() if path.stat().st_ino in inodes]

    def files(self) -> list[Path]:
        return [path for folder in (self.sink, self.sink / "rejected") for path in sorted(folder.glob("*.ndjson"))]

    def stop(self) -> int:
        assert self.shipper is not None
        self.shipper.terminate()
        return self.shipper.wait(60)

    def end(self) -> None:
        self.load.stop()
        if self.shipper is not None and self.shipper.poll() is None:
            assert self.stop() == 0, self.log.read_text("utf-8", "replace")[-3000:]
        self.gateway.stop()

    def readyz(self) -> str:
        """The reason of the shipper's /readyz; empty if it is ready, or does not answer."""
        try:
            answer = request(self.admin, "GET", "/readyz", timeout=5)
        except OSError:
            return ""
        return "" if answer.status == 200 else answer.reason


class Total(NamedTuple):
    """All lines of a way at its end."""

    files: int
    loki: int
    counted: int
    """What Loki counts itself."""
    flushed: int
    """The same after a flush."""


@dataclass
class Way:
    """Machines, and one Loki."""

    loki: ThreadedLoki
    machines: list[Machine]
    control: Control | None = None
    moved: list[Path] = field(default_factory=list)
    """Files that are no longer under their names: what they hold counts as well."""
    odd: list[str] = field(default_factory=list)
    """Further batches that were acknowledged."""
    _keys: Counter[str] = field(default_factory=Counter)
    _read: int = 0

    @property
    def one(self) -> Machine:
        """The first machine."""
        return self.machines[0]

    @property
    def events(self) -> int:
        """Events acknowledged so far."""
        return EVENTS_A_BATCH * len(self.acknowledged())

    def acknowledged(self) -> list[str]:
        return [*self.odd, *(batch for machine in self.machines for batch in machine.load.acknowledged())]

    def until(
        self, condition: Callable[[], bool], pause: float = 0.02, explain: Callable[[], str] = lambda: ""
    ) -> None:
        """Wait for a condition; ``explain`` is what a failure says besides."""
        deadline = time.monotonic() + FAR
        while not condition():
            assert time.monotonic() < deadline, "\n".join(
                [
                    *(
                        f"{machine.load.failures()}\n{machine.log.read_text('utf-8', 'replace')[-3000:]}"
                        for machine in self.machines
                    ),
                    explain(),
                ]
            )
            time.sleep(pause)

    def more(self, lines: int = 60) -> None:
        """Wait until so many lines more are in Loki."""
        wanted = self.loki.server.accepted + lines
        self.until(lambda: self.loki.server.accepted >= wanted)

    def arrived(self) -> tuple[int, int, int]:
        """Wait for what is acknowledged until now; return its events, how many are missing, and how many are twice."""
        wanted = [f"{batch}.{number}" for batch in self.acknowledged() for number in range(EVENTS_A_BATCH)]
        missing = wanted

        def all_there() -> bool:
            nonlocal missing
            found = self.keys()
            missing = [key for key in missing if key not in found]
            return not missing

        self.until(all_there, 0.05 if real_loki() is None else 2.0)
        return len(wanted), len(missing), sum(self._keys[key] > 1 for key in wanted)

    def keys(self) -> Counter[str]:
        """How often each event is in Loki, by its key. Of the double only what came since the last time is read."""
        store = self.loki.store
        if isinstance(store, RealStore):
            self._keys.clear()
            new = self.loki.entries()
        else:
            new = store.log[self._read :]
            self._read += len(new)
        self._keys.update(orjson.loads(entry.line).get("key", "") for entry in new)
        return self._keys

    def settle(self) -> Total:
        """End the load; see that every line of the files is in Loki, once, at once and after a flush."""
        for machine in self.machines:
            machine.load.stop()
            assert not machine.load.unexpected()
        read = {path: _lines(path) for path in [*self.files(), *self.moved]}
        lines = Counter(line for one in read.values() for line in one)
        total = sum(lines.values())
        self.until(lambda: self.loki.count() >= total, 0.05 if real_loki() is None else 2.0, lambda: self.missing(read))
        assert Counter(entry.line for entry in self.loki.entries()) == lines
        keys = Counter(json.loads(line).get("key") for line in lines)
        for batch in self.acknowledged():
            assert all(keys[f"{batch}.{number}"] == 1 for number in range(EVENTS_A_BATCH)), batch
        if not self.moved:  # a renamed file and the one after it have the same places
            assert set(self.loki.seqs().values()) == {1}
        counted = self.counted()
        self.loki.store.flush()
        self.until(lambda: self.loki.count() == total, 0.05 if real_loki() is None else 2.0)
        flushed = self.counted()
        assert (total, total) == (counted, flushed)
        for machine in self.machines:
            assert not (machine.sink / "ship" / "unshippable").exists()
        return Total(total, self.loki.count(), counted, flushed)

    def files(self) -> list[Path]:
        return [path for machine in self.machines for path in machine.files()]

    def missing(self, read: dict[Path, list[str]]) -> str:
        """Which lines of the files are not in Loki, and what the shippers have saved, as text."""
        there = {entry.line for entry in self.loki.entries()}
        out = []
        for path, lines in read.items():
            gone = [line for line in lines if line not in there]
            if gone:
                out.append(
                    f"{path}, inode {path.stat().st_ino}: {len(gone)} of {len(lines)} lines are missing: {gone[0]}"
                )
        saved = [machine.sink / "ship" / "positions.json" for machine in self.machines]
        return "\n".join([*out, *(path.read_text("utf-8") for path in saved if path.exists())])

    def counted(self) -> int:
        """How many lines Loki counts itself."""
        store = self.loki.store
        return store.counted() if isinstance(store, RealStore) else self.loki.count()


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").split("\n") if line]


@contextmanager
def way(folder: Path, machines: int = 1, *, offset: float | None = None, back: int = HOUR) -> Iterator[Way]:
    """Start all of it. With ``offset``, in seconds, clocks and disks obey a Control that begins with it.

    ``back``: how much older than its clock an event may be and still be looked for in a real Loki, in ns.
    """
    with loki(HARD, back=back - int((offset or 0) * SECOND)) as server:
        control, path = None, None
        if offset is not None:
            path = folder / "control"
            control = clock = Control(path, create=True)
            control.set(offset=offset)
            if real_loki() is None:
                wall = server.store.wall
                server.store.wall = lambda: wall() + int(clock.offset * 1e9)
        made = Way(server, [], control)
        try:
            for number in range(machines):
                made.machines.append(Machine(folder / f"m{number}", "ab"[number], server, path))
            made.more()
            yield made
        finally:
            for machine in made.machines:
                machine.end()


def send_odd(made: Way, times: list[Any]) -> None:
    """Have a batch acknowledged whose events bring these times, in turns."""
    gateway = made.one.gateway
    batch = f"odd-{len(made.odd)}-{gateway.auth_port}"
    events = [
        {"msg": batch, "key": f"{batch}.{number}", "ts": times[number % len(times)]} for number in range(EVENTS_A_BATCH)
    ]
    answer = gateway.send(events, headers={"X-Batch-Id": batch})
    assert answer.status == 200, answer
    made.odd.append(batch)
