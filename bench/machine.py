"""What a figure was measured on, what a process has used, and which core runs what."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

from logops_fast.runtime.build import build

PACKAGES: Final = ("logops-fast", "uvloop", "httptools", "orjson")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SYNC_BYTES: Final = 25_000
_KTHREADD: Final = 2  # the parent of the kernel's own threads
_DISK_THREADS: Final = ("kworker", "jbd2", "xfs", "btrfs")
_ROOT: Final = Path(__file__).parent.parent


def facts(folder: Path, packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """Return machine, versions, commit, time, and how long a sync takes in ``folder``: recorded with every figure."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "build": build(),
        "packages": {name: version(name) for name in packages},
        "commit": commit(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python_loop_ms": round(loop_time() * 1e3, 1),
        "fdatasync_us": round(sync_time(folder) * 1e6),
        "busy_before": round(busy_share(0.5), 2),
    }


def one_line(machine: dict[str, Any]) -> str:
    """The facts as a sentence under a table."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    python = f"{machine['python']}, {machine.get('build', 'interpreted')}"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {python}; {packages}; "
        f"commit {machine['commit']}, {machine['at'][:16].replace('T', ' ')} UTC; "
        f"200,000 turns of a plain loop {machine['python_loop_ms']} ms, "
        f"write and fdatasync of 25 KB {machine['fdatasync_us']} us; "
        f"{machine['busy_before']:.0%} of the cores were busy with other things beforehand"
    )


def commit() -> str:
    """The commit measured; ``+`` where the tree differs from it in what is measured."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--", ":/logops_fast", ":/bench", ":/pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def sync_time(folder: Path) -> float:
    """Median seconds of an append of 25 KB and its fdatasync: a disk in memory would flatter every figure."""
    path = folder / ".sync-time"
    data, times = b"x" * _SYNC_BYTES, []
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    try:
        for _ in range(20):
            start = time.perf_counter()
            os.write(descriptor, data)
            sync(descriptor)
            times.append(time.perf_counter() - start)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times)


def loop_time() -> float:
    """Least seconds of a fixed piece of plain Python: machine and build of the interpreter in one figure.

    A build without profile-guided optimisation, as version managers make by default, is 10 to 25% slower in all.
    """
    times = []
    for _ in range(5):
        start, counts = time.perf_counter(), dict[int, int]()
        for number in range(200_000):
            counts[number & 1023] = counts.get(number & 1023, 0) + number
        times.append(time.perf_counter() - start)
    return min(times)


def busy_share(seconds: float) -> float:
    """How busy all cores together are while nothing of ours runs, 0 to 1; 0 where the system does not tell."""
    before = busy_time()
    time.sleep(seconds)
    return (busy_time() - before) / seconds / (os.cpu_count() or 1)


def busy_time() -> float:
    """CPU seconds that all cores have spent on anything at all; 0 where the system does not tell."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    ticks = [int(field) for field in first]
    return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS  # all but idle and waiting for a disk


class Process(NamedTuple):
    """What /proc/<pid>/stat says; CPU in seconds."""

    pid: int
    name: str
    parent: int
    cpu: float


def processes() -> list[Process]:
    """All that run, the kernel's threads among them; none where the system does not tell."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append(_process(stat))
        except OSError:
            continue  # it has just ended
    return found


def _process(stat: Path) -> Process:
    """Raises OSError where the process is no more."""
    pid_and_name, rest = stat.read_text().rsplit(")", 1)  # a name may hold spaces and parentheses
    fields = rest.split()
    pid, _, name = pid_and_name.partition(" (")
    return Process(int(pid), name, int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS)


class Usage(NamedTuple):
    """What processes have used: CPU seconds so far, and the largest resident set among them in bytes."""

    cpu: float
    rss: int


def tree(roots: Sequence[int]) -> list[int]:
    """The processes ``roots`` and all that descend from them. Linux only; elsewhere the roots."""
    running = processes()
    found = list(roots)
    for pid in found:
        found.extend(child.pid for child in running if child.parent == pid)
    return found


def usage(pids: Iterable[int]) -> Usage:
    """CPU time and memory of living processes, threads included."""
    cpu, rss = 0.0, 0
    for pid in pids:
        try:
            cpu += _process(Path(f"/proc/{pid}/stat")).cpu
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        rss = max(rss, int(found[1]) * 1024 if found else 0)
    return Usage(cpu, rss)


def kernel_work() -> float:
    """CPU seconds of the kernel's own threads that write and sync files; 0 where the system does not tell.

    A sync that is handed to the kernel is paid for there, in no process's account.
    """
    return sum(one.cpu for one in processes() if one.parent == _KTHREADD and one.name.startswith(_DISK_THREADS))


class Cores(NamedTuple):
    """Which cores serve and which one sends. Empty sets: this system cannot pin."""

    serve: frozenset[int]
    send: frozenset[int]

    @property
    def apart(self) -> bool:
        """Whether the sender has a core of its own."""
        return bool(self.serve) and not self.serve & self.send


def share_out(workers: int) -> Cores:
    """The first ``workers`` cores serve, the last one sends; it is shared where there are not enough."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(frozenset(), frozenset())
    usable = sorted(os.sched_getaffinity(0))
    serve = frozenset(usable[:workers])
    return Cores(serve, frozenset(usable[-1:]) if len(usable) > len(serve) else frozenset(usable))


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """This process, and whatever it starts meanwhile, on these cores."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def version(package: str) -> str:
    """The version of an installed package, empty where it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _git(*words: str) -> str:
    command = ("git", "-C", str(_ROOT), *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
