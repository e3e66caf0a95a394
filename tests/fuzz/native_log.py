"""The log of the kernel's fuzzer: a JSON line for each round, and the table of it in ``native.md``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_log(log: Path | None) -> list[Row]:
    """Return the rounds that a log holds; none if there is no such file."""
    if log is None or not log.exists():
        return []
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def table(rounds: list[Row]) -> str:
    """Return a table in Markdown, a row for each commit, and what became of the events in all."""
    lines = [
        "| commit | seeds | events | bodies | differences | CPU s | events a CPU s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for commit in dict.fromkeys(one["commit"] for one in rounds):
        some = [one for one in rounds if one["commit"] == commit]
        lines.append(_row(commit, some))
    lines.append(_row("all", rounds))
    lines.append("")
    for name in ("formats", "ways", "masked"):
        counted: Counter[str] = Counter()
        for one in rounds:
            counted.update(one[name])
        whole = sum(counted.values()) or 1
        shares = ", ".join(f"{kind} {number / whole:.1%}" for kind, number in counted.most_common())
        lines.append(f"- {name}, {whole:,}: {shares}")
    distinct = [one["distinct"] for one in rounds] or [0.0]
    lines.append(
        f"- distinct events of JSON within a round: {min(distinct):.1%} to {max(distinct):.1%}; layouts learnt: "
        f"{sum(one['layouts'] for one in rounds):,}; bodies of JSON left whole to the reference: "
        f"{sum(one.get('left', 0) for one in rounds):,}"
    )
    return "\n".join(lines)


def _row(commit: str, rounds: list[Row]) -> str:
    seeds = [one["seed"] for one in rounds] or [0]
    events, bodies, differences = (sum(one[name] for one in rounds) for name in ("events", "bodies", "differences"))
    cpu = sum(one["cpu"] for one in rounds)
    return (
        f"| {commit} | {min(seeds)} to {max(seeds)} | {events:,} | {bodies:,} | {differences} | {cpu:,.0f} "
        f"| {events / max(cpu, 0.1):,.0f} |"
    )
