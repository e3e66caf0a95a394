"""rsyslog on its own ground: RFC 5424 lines over TCP, parsed, appended to a file (Debian's package, ``omfile``).

Beside it our gateways with the same lines as signed text/plain batches: parsed into fields, masked, synced. rsyslog
answers no one, so its clock stops when the last line is in the file.
"""

from __future__ import annotations

import shutil
import signal
import socket
import statistics
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench import corpus, machine, servers, step
from logops_fast.config.slo import load_slo
from tests.support.ports import free_port

CONFIG: Final = """\
global(workDirectory="{folder}" maxMessageSize="8k")
module(load="imptcp" threads="1")
input(type="imptcp" port="{port}" address="127.0.0.1" ruleset="store")
main_queue(queue.type="FixedArray" queue.size="500000" queue.dequeueBatchSize="1024")
ruleset(name="store") {{
  action(type="omfile" file="{file}" template="RSYSLOG_SyslogProtocol23Format" asyncWriting="off"
         ioBufferSize="256k" flushOnTXEnd="on")
}}
"""
BATCH: Final = 100
TIMEOUT: Final = 60.0


def binary() -> str | None:
    """rsyslogd, where it is installed."""
    return shutil.which("rsyslogd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def run(lines: int, rounds: int, scratch: Path | None) -> dict[str, Any]:
    """Both, in alternation; lines a CPU second and a wall second, a value a round."""
    found: dict[str, Any] = {"version": _version(), "rsyslog": [], "ours": []}
    for number in range(rounds):
        for name in ("rsyslog", "ours") if found["version"] else ("ours",):
            with servers.scratch(scratch) as folder:
                figures = _rsyslog(folder, lines) if name == "rsyslog" else _ours(folder)
            found[name].append(figures)
            print(
                f"round {number + 1}  syslog lines: {name:<8} {figures['eps']:>9,.0f} a second  "
                f"{figures['cpu_eps']:>9,.0f} a CPU second",
                flush=True,
            )
    return found


def table(found: dict[str, Any]) -> list[str]:
    """The rows, in Markdown."""
    if not found["rsyslog"]:
        return ["rsyslog is not installed here."]
    rows = {name: _medians(found[name]) for name in ("rsyslog", "ours")}
    return [
        f"Syslog lines (RFC 5424) in, file out. {found['version']}, imptcp and omfile, against ours with signed "
        f"text/plain batches of {BATCH}, masked and synced:",
        "",
        "| | lines per core | wall |",
        "|---|---:|---:|",
        f"| rsyslog: no signature, no masking, no answer, not synced | {rows['rsyslog'][0]:,.0f} | "
        f"{rows['rsyslog'][1]:,.0f} |",
        f"| LogOps Fast, `up` | {rows['ours'][0]:,.0f} ({rows['ours'][0] / rows['rsyslog'][0]:.2f} x) | "
        f"{rows['ours'][1]:,.0f} |",
    ]


def _medians(figures: list[dict[str, float]]) -> tuple[float, float]:
    return (
        statistics.median(one["cpu_eps"] for one in figures),
        statistics.median(one["eps"] for one in figures),
    )


def _ours(folder: Path) -> dict[str, float]:
    with servers.running(folder) as server:
        plan = step.plan_for(server, step.make_bodies(BATCH, body_format="plain"), body_format="plain")
        done = step.measure(server, plan, load_slo(), machine.share_out(1), eps=None, seconds=3.0)
    return {"eps": done.achieved_eps, "cpu_eps": done.cpu_eps or 0.0}


def _rsyslog(folder: Path, lines: int) -> dict[str, float]:
    port, stored = free_port(), folder / "out.log"
    config = folder / "rsyslog.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, file=stored))
    command = [binary() or "", "-n", "-f", str(config), "-i", str(folder / "pid")]
    cores = machine.share_out(1)
    with machine.on_cores(cores.serve):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        bodies = [data + b"\n" for data in corpus.bodies(step.BODIES, BATCH, body_format="plain")]
        server = servers.Server("rsyslog", port, roots=[process.pid])
        with machine.on_cores(cores.send), _connect(port) as sock:
            before, start, sent = server.usage(), time.perf_counter(), 0
            while sent < lines:
                sock.sendall(bodies[sent // BATCH % len(bodies)])
                sent += BATCH
            _await_lines(stored, sent)
            seconds = time.perf_counter() - start
            cpu = max(server.usage().cpu - before.cpu, 0.01)  # a clock tick
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait(5)
    return {"eps": sent / seconds, "cpu_eps": sent / cpu}


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _await_lines(path: Path, lines: int) -> None:
    counted, at, deadline = 0, 0, time.monotonic() + TIMEOUT
    while counted < lines:
        if time.monotonic() > deadline:
            raise RuntimeError(f"rsyslog has stored {counted} of {lines} lines")
        if path.exists():
            with path.open("rb") as file:
                file.seek(at)
                while piece := file.read(1 << 20):
                    counted += piece.count(b"\n")
                    at += len(piece)
        time.sleep(0.01)


def _version() -> str:
    path = binary()
    if path is None:
        return ""
    first = subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stdout.split("\n", 1)[0]
    return " ".join(first.split()[:2])
