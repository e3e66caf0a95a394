"""The kinds of faults on the way to Loki, in the groups that share gateways, shippers and a Loki."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logops_fast.shipper.entries import rfc3339_ns
from tests.faults.shipping import DAY, Machine, Way, send_odd, way
from tests.loki.server import Fault
from tests.loki.store import HOUR

LONG = bool(os.environ.get("LOGOPS_FAULT_RUNS"))
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\n\r\nBad Request"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 13\r\n\r\ntoken expired"


@dataclass(frozen=True)
class Kind:
    """A fault that ``inject`` makes and heals; ``runs`` and ``long``: how often, in CI and for the table."""

    name: str
    inject: Callable[[Way], None]
    runs: int = 1
    long: int = 1

    @property
    def times(self) -> int:
        return self.long if LONG else self.runs


@dataclass(frozen=True)
class Group:
    """Faults that are injected one after another into the same processes."""

    name: str
    build: Callable[[Path], AbstractContextManager[Way]]
    kinds: tuple[Kind, ...]


def unready(made: Way, reason: str) -> None:
    """Wait until /readyz of every shipper says it."""
    for machine in made.machines:
        made.until(lambda machine=machine: machine.readyz() == reason)  # type: ignore[misc]


def ready(made: Way) -> None:
    for machine in made.machines:
        made.until(lambda machine=machine: machine.readyz() == "")  # type: ignore[misc]


def away(made: Way) -> None:
    made.loki.away()
    unready(made, "loki_unreachable")
    time.sleep(60 if LONG else 0)
    made.loki.back()


def restarted(made: Way) -> None:
    made.loki.away()
    made.loki.back()


def killed(made: Way) -> None:
    made.loki.server.delay = 0.3
    made.more(20)
    made.loki.away()  # with pushes under way
    made.loki.server.delay = 0.0
    made.loki.kill()
    made.loki.back()


def fault(*names: Fault) -> Callable[[Way], None]:
    def inject(made: Way) -> None:
        made.loki.server.faults.extend(names * 3)
        made.until(lambda: not made.loki.server.faults)

    return inject


def slow(made: Way) -> None:
    made.loki.server.delay = 1.0
    made.more(40)
    made.loki.server.delay = 0.0


def refuses_some(made: Way) -> None:
    now = made.loki.store.wall()
    send_odd(made, ["2020-01-01T00:00:00Z", *(rfc3339_ns(now + ahead) for ahead in (-2 * HOUR, 0, HOUR))])


def instead(data: bytes) -> Callable[[Way], None]:
    def inject(made: Way) -> None:
        made.loki.server.instead = data
        unready(made, "loki_refuses")
        made.loki.server.instead = None
        ready(made)

    return inject


def shipper_killed(made: Way) -> None:
    for number, machine in enumerate(made.machines):
        if (made.loki.server.accepted + number) % 3 == 1:
            made.loki.server.faults.extend(["cut after", "500 after"])
        machine.kill()
        machine.ship()
        made.more(20)


def shipper_stopped(made: Way) -> None:
    assert made.one.stop() == 0
    made.one.ship()


def positions_torn(made: Way) -> None:
    positions = made.one.sink / "ship" / "positions.json"
    made.one.kill()
    positions.write_bytes(positions.read_bytes()[:100])
    made.one.ship()


def worker_killed(made: Way) -> None:
    made.one.gateway.kill_workers(made.one.gateway.workers()[0])
    made.until(lambda: len(made.one.gateway.workers()) == 2)


def offset(made: Way) -> float:
    assert made.control is not None
    return made.control.offset


def disk(*faults: str) -> Callable[[Way], None]:
    def inject(made: Way) -> None:
        assert made.control is not None
        load = made.one.load
        for one in faults:
            failures = load.failures()["503 sink_failed"]
            made.control.set(offset=offset(made), disk=one)
            made.until(lambda failures=failures: load.failures()["503 sink_failed"] > failures + 5)  # type: ignore[misc]
            made.control.set(offset=offset(made))
            made.more(20)

    return inject


def seen(made: Way) -> list[Path]:
    """The files that the shipper has open: that others arrive if they are moved now is not certain."""
    made.until(lambda: bool(made.one.followed()))
    return made.one.followed()


def renamed(made: Way) -> None:
    paths = seen(made)
    for path in paths:
        to = path.with_name(f"{path.name}.{len(made.moved)}")
        path.rename(to)
        made.moved.append(to)
    made.until(lambda: any(path.exists() for path in paths))


def deleted_late(made: Way) -> None:
    """Files are removed while Loki is away, as the shipper has them open."""
    made.loki.away()
    unready(made, "loki_unreachable")
    kept = made.one.gateway.dir / "kept"
    kept.mkdir(exist_ok=True)
    paths = seen(made)
    for path in paths:
        to = kept / f"{len(made.moved)}.{path.name}"
        os.link(path, to)  # for the count
        path.unlink()
        made.moved.append(to)
    made.until(lambda: any(path.exists() for path in paths))
    made.loki.back()


def rollover(made: Way) -> None:
    assert made.control is not None
    now = time.time()
    days = {path.name[:8] for path in made.files()}
    midnight = now + offset(made)
    midnight += DAY - midnight % DAY
    made.control.set(offset=midnight + 1 - now)
    made.until(lambda: any(path.name[:8] not in days for path in made.files()))


def away_three_hours(made: Way) -> None:
    assert made.control is not None
    made.loki.away()
    unready(made, "loki_unreachable")
    start = offset(made)
    for step in (1, 2, 3):
        before = made.events
        made.control.set(offset=start + step * 3600)
        made.until(lambda before=before: made.events > before + 50)  # type: ignore[misc]
    made.loki.back()


def yesterday(folder: Path) -> AbstractContextManager[Way]:
    """The last half hour before midnight that began. A real Loki has its own clock: start this after three at night.

    It began less than a day ago: no gateway takes signatures that are older.
    """
    return way(folder, offset=-((time.time() + 1800) % DAY))


def machine_killed(made: Way) -> None:
    """Gateway and shipper of one machine at once."""
    machine: Machine = made.machines[1]
    machine.kill()
    machine.gateway.kill_workers(*machine.gateway.workers())
    machine.ship()


def _kinds(*kinds: Any) -> tuple[Kind, ...]:
    return tuple(Kind(*kind) for kind in kinds)


GROUPS = (
    Group("Loki", way, _kinds(
        ("Loki away" + (", 60 s" if LONG else ""), away),
        ("Loki restarted", restarted, 1, 5),
        ("Loki killed, pushes under way", killed, 1, 3),
        ("429", fault("429"), 1, 5),
        ("500, nothing stored", fault("500 before"), 1, 5),
        ("500 after it was stored", fault("500 after"), 1, 5),
        ("503", fault("503"), 1, 5),
        ("connection cut, nothing stored", fault("cut before"), 1, 5),
        ("connection cut after it was stored", fault("cut after"), 1, 5),
        ("no answer", fault("hang")),
        ("slow, 1 s a push", slow),
        ("some entries refused", refuses_some, 1, 10),
        ("a proxy answers 400 to everything", instead(BAD_REQUEST), 1, 5),
        ("a proxy answers 401", instead(UNAUTHORIZED), 1, 5),
    )),
    Group("shipper", way, _kinds(
        ("kill -9 of the shipper", shipper_killed, 3, 50),
        ("SIGTERM under load", shipper_stopped, 1, 10),
        ("positions torn", positions_torn, 1, 2),
        ("kill -9 of a worker of the gateway", worker_killed, 1, 5),
    )),
    Group("disk and clock", yesterday, _kinds(
        ("syncs fail, groups cut away", disk("sync_eio"), 1, 5),
        ("short writes, then no space", disk("write_short"), 1, 5),
        ("a day passes", rollover),
        ("files renamed", renamed, 1, 3),
        ("files deleted before they are shipped", deleted_late, 1, 3),
        ("Loki away, 3 h by the clock", away_three_hours),
    )),
    Group("two machines", lambda folder: way(folder, 2), _kinds(
        ("kill -9 of both shippers", shipper_killed, 1, 10),
        ("kill -9 of one machine's gateway and shipper", machine_killed, 1, 5),
        ("Loki away" + (", 60 s" if LONG else "") + ", two machines", away),
    )),
)  # fmt: skip
