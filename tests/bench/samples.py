"""Steps and results made up for the tests."""

from __future__ import annotations

from typing import Any

from bench.step import Step
from logops_fast.config.slo import Slo

SLO = Slo(objective=0.99, threshold=0.5, window=1800, p95=0.5, p95_window=300)


def made_up(offered: float, *, capacity: float = 1e9, seconds: float = 3.0, **changes: Any) -> Step:
    """A step that a gateway of that capacity would give."""
    achieved = min(offered, capacity)
    slow = 0.002 if offered <= capacity else 2.0
    due = int(offered * seconds)
    values: dict[str, Any] = {
        "offered_eps": offered,
        "achieved_eps": achieved,
        "seconds": seconds,
        "due": due // 100,
        "answered": due // 100,
        "events_due": due,
        "events_accepted": due,
        "events_stored": due,
        "refused": {},
        "unanswered": 0,
        "unsent": 0,
        "p50": slow / 2,
        "p95": slow,
        "p99": slow * 2,
        "p999": slow * 3,
        "share_fast": 1.0 if offered <= capacity else 0.5,
        "p95_gateway": slow,
        "cpu_seconds": due * 4e-6,
        "rss_mib": 60.0,
        "others": 0.02,
    }
    return Step(**{**values, **changes})


def results(capacity: float = 250_000.0, commit: str = "abc1234567") -> dict[str, Any]:
    """What a sweep writes."""
    offered = (50_000.0, 100_000.0, 200_000.0, 250_000.0, 300_000.0)
    return {
        "kind": "eps_sweep",
        "machine": {
            "cpu": "Some CPU",
            "cores": 2,
            "system": "Linux 6.1",
            "python": "CPython 3.11.9",
            "packages": {"uvloop": "0.23.0", "absent": ""},
            "commit": commit,
            "at": "2026-01-02T03:04:05+00:00",
            "python_loop_ms": 15.0,
            "fdatasync_us": 270,
            "busy_before": 0.01,
        },
        "slo": SLO._asdict(),
        "config": {
            "mode": "up", "workers": 1, "batch_size": 100, "format": "json", "corpus": "mixed",
            "durability": "fsync", "auth": True, "seconds": 3.0, "sender_apart": True,
        },
        "steps": [made_up(eps, capacity=capacity).to_json() for eps in offered],
        "half_knee": made_up(125_000.0).to_json(),
        "knee_eps": capacity,
    }  # fmt: skip
