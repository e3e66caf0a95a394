"""The matrix as Markdown: what was asked for beside what was measured, then a table a question."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench import machine
from bench.cells import Cell, Group
from bench.report import ms
from bench.step import QUIET, Step


@dataclass(frozen=True)
class Target:
    """A figure that was asked for: of which cell, and how much. ``before`` is version 0.4's."""

    title: str
    group: str
    cell: Cell
    before: float | None
    least: float
    goal: float | None


TARGETS: Final = (
    Target("events for each CPU second, `mixed`", "targets", Cell("native"), 363_000, 700_000, 1_000_000),
    Target("the same, `field` corpus", "targets", Cell("native", "field"), 200_000, 450_000, 700_000),
    Target("knee by the SLO, one worker, `mixed`", "knee", Cell("native", knee=True), 298_000, 550_000, 800_000),
    Target("single events for each CPU second", "targets", Cell("native", size=1), 26_000, 40_000, 60_000),
    Target("without the kernel, compiled", "targets", Cell("compiled"), 363_000, 380_000, None),
    Target(
        "OTLP protobuf, records for each CPU second",
        "targets",
        Cell("native", body_format="otlp"),
        None,
        150_000,
        400_000,
    ),
)
LEAST_P95, LEAST_P99 = 0.002, 0.005
"""Seconds that p95 and p99 may take at half of the knee."""


def markdown(results: dict[str, Any], groups: Sequence[Group]) -> str:
    """All that has been measured so far."""
    text = [
        "# The matrix",
        "",
        "`logops up` with HMAC, nonce, masks, secrets and fsync, closed-loop: events accepted for each CPU second of "
        "the gateway and of the kernel's threads that sync for it. Medians; in brackets the least and the most, and "
        "the number of runs. Builds: *native* is compiled with the kernel, *compiled* without it.",
        "",
        *_targets(results),
    ]
    for group in groups:
        runs = results["groups"].get(group.key, {})
        cells = [cell for cell in group.cells if runs.get(cell.name)]
        if cells:
            text += [f"## {group.title}", "", *_group(group, cells, runs), ""]
    if "machine" in results:
        text += [machine.one_line(results["machine"]) + ".", ""]
    return "\n".join(text)


def line(run: dict[str, Any]) -> str:
    """One run, for the terminal."""
    if "knee_eps" in run:
        half = run["half_knee"]
        more = f"; at half of it p95 {ms(half['p95'])} ms, p99 {ms(half['p99'])} ms" if half else ""
        return f"knee {run['knee_eps']:,.0f}{more}"
    done = step_of(run)
    return (
        f"{done.cpu_eps or 0:>9,.0f} a CPU second  {done.us_per_event or 0:8.2f} us  {done.achieved_eps:>9,.0f} EPS  "
        f"p99 {ms(done.p99)} ms  others {done.others or 0:.2f}  {'; '.join(wrong(done)) or 'ok'}"
    )


def step_of(run: dict[str, Any]) -> Step:
    """The step of a closed-loop run."""
    return Step.of_json({name: value for name, value in run.items() if name != "body_bytes"})


def wrong(done: Step) -> list[str]:
    """Why a closed-loop run does not count: something was refused, lost, or stored twice."""
    found = [f"{count} x {reason}" for reason, count in done.refused.items()]
    if done.unanswered:
        found.append(f"{done.unanswered} unanswered")
    if done.events_stored is not None and done.events_stored != done.events_accepted:
        found.append(f"{done.events_stored - done.events_accepted:+d} lines in the files")
    return found


def value_of(cell: Cell, runs: list[dict[str, Any]]) -> list[float]:
    """What each run says, sorted: events a CPU second, or the knee; runs that went wrong do not count."""
    if cell.knee:
        return sorted(run["knee_eps"] for run in runs)
    steps = [step_of(run) for run in runs]
    return sorted(done.cpu_eps for done in steps if done.cpu_eps is not None and not wrong(done))


def _targets(results: dict[str, Any]) -> list[str]:
    rows = []
    for target in TARGETS:
        values = value_of(target.cell, results["groups"].get(target.group, {}).get(target.cell.name, []))
        if values:
            middle = statistics.median(values)
            verdict = "goal" if target.goal and middle >= target.goal else "met" if middle >= target.least else "missed"
            cells = (
                target.title,
                f"{target.before:,}" if target.before else "-",
                f"{target.least:,}",
                f"{target.goal:,}" if target.goal else "-",
                f"**{_spread(values)}**",
                verdict,
            )
            rows.append("| " + " | ".join(cells) + " |")
    halves = [run["half_knee"] for run in results["groups"].get("knee", {}).get(Cell("native", knee=True).name, [])]
    halves = [half for half in halves if half]
    if halves:
        p95, p99 = (statistics.median(half[name] for half in halves) for name in ("p95", "p99"))
        verdict = "met" if p95 <= LEAST_P95 and p99 <= LEAST_P99 else "missed"
        asked = "| p95 / p99 at half of the knee | 2.5 / 5.5 ms | 2 / 5 ms | 1 / 2 ms |"
        rows.append(f"{asked} **{ms(p95)} / {ms(p99)} ms** | {verdict} |")
    if not rows:
        return []
    return ["| figure | 0.4 | at least | goal | measured | |", "|---|---:|---:|---:|---:|---|", *rows, ""]


def _group(group: Group, cells: Sequence[Cell], runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    if all(cell.knee for cell in cells):
        return _knees(cells, runs)
    by_size = group.key in ("counts", "weights")
    text = [
        "| cell | events a CPU second | us an event | "
        + ("ns a byte | body, bytes | " if by_size else "")
        + "EPS, wall | p50 ms | p99 ms | RSS MiB | others |",
        "|---|" + "---:|" * (9 if by_size else 7),
    ]
    for cell in cells:
        steps = [done for done in map(step_of, runs[cell.name]) if not wrong(done)]
        values = value_of(cell, runs[cell.name])
        if not values:
            text.append(f"| {cell.name} | {'; '.join(wrong(step_of(runs[cell.name][-1])))} |")
            continue
        micros = 1e6 / statistics.median(values)
        body = runs[cell.name][0].get("body_bytes", 0)
        others = statistics.median(done.others or 0.0 for done in steps)
        found = [cell.name, _spread(values), f"{micros:,.2f}"]
        if by_size:
            found += [f"{micros * 1e3 * cell.size / body:.1f}" if body else "-", f"{body:,}"]
        found += [
            f"{statistics.median(done.achieved_eps for done in steps):,.0f}",
            ms(statistics.median(done.p50 for done in steps)),
            ms(statistics.median(done.p99 for done in steps)),
            f"{statistics.median(done.rss_mib or 0.0 for done in steps):,.0f}",
            f"{others:.2f}" + (" (disturbed)" if others > QUIET else ""),
        ]
        text.append("| " + " | ".join(found) + " |")
    return text


def _knees(cells: Sequence[Cell], runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    text = ["| cell | knee, EPS | p95 at half of it, ms | p99 | us an event there |", "|---|---:|---:|---:|---:|"]
    for cell in cells:
        halves = [Step.of_json(run["half_knee"]) for run in runs[cell.name] if run["half_knee"]]
        found = [cell.name, _spread(value_of(cell, runs[cell.name]))]
        if halves:
            found += [
                ms(statistics.median(half.p95 for half in halves)),
                ms(statistics.median(half.p99 for half in halves)),
            ]
            found.append(f"{statistics.median(half.us_per_event or 0.0 for half in halves):.2f}")
        else:
            found += ["-"] * 3
        text.append("| " + " | ".join(found) + " |")
    return text


def _spread(values: Sequence[float]) -> str:
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:,.0f} (1)"
    return f"{middle:,.0f} ({min(values):,.0f} to {max(values):,.0f}, {len(values)})"
