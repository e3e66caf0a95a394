"""CPU time of what a stranger may request as often as it likes: ``python -m bench.request_cost``.

One worker, its own CPU time (user and system) by /proc: other load on the machine changes it little. Refusals come on a
connection each, as they close it; the probes on one that is kept.
"""

from __future__ import annotations

import http.client
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from tests.support.gateway import KEY, Gateway, running
from tests.support.signing import signed

ROUNDS: Final = 5
REQUESTS: Final = 400
SETTINGS: Final = {"auth": {"failures": {"capacity": 1_000_000, "refill_per_sec": 1_000_000}}}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(gateway: Gateway) -> dict[str, Callable[[], None]]:
    """Return what is measured, by name."""
    kept = http.client.HTTPConnection("127.0.0.1", gateway.auth_port)

    def page() -> None:
        kept.request("GET", "/metrics")
        kept.getresponse().read()

    def refusal(headers: dict[str, str]) -> Callable[[], None]:
        def post() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.auth_port)
            connection.request("POST", "/ingest", b"{}", headers)
            connection.getresponse().read()
            connection.close()

        return post

    return {
        "/metrics": page,
        "401 bad_signature": refusal(signed(KEY, "wrong", b"{}")),
        "401 missing_headers": refusal({}),
    }


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), settings=SETTINGS) as gateway:
        (worker,) = gateway.workers()
        for emitter in ("web", "batch", "csv"):
            gateway.send([{"msg": "so that the page has its series"}], headers={"X-Emitter": emitter})
        taken: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, ask in requests(gateway).items():
                before = cpu_seconds(worker)
                for _ in range(REQUESTS):
                    ask()
                taken.setdefault(name, []).append((cpu_seconds(worker) - before) / REQUESTS * 1000)
    for name, times in taken.items():
        print(f"{name:<20} {median(times):.2f} ms of CPU (median of {ROUNDS} rounds of {REQUESTS})")


if __name__ == "__main__":
    main()
