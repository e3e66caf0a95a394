"""Results of a sweep as text: lines on the terminal, a Markdown table, the ratios of two runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bench import machine
from bench.step import Step
from logops_fast.config.slo import Slo

LINE_HEADER: Final = (
    "   offered   achieved      p50      p95      p99    p99.9 ms   gateway p95   CPU us/event   cores   RSS MiB"
    "   others"
)


def slo_of(results: dict[str, Any]) -> Slo:
    """The SLO that the results were judged by."""
    return Slo(**results["slo"])


def steps_of(results: dict[str, Any]) -> list[Step]:
    """The steps of a sweep, in the order they were made."""
    return [Step.of_json(data) for data in results["steps"]]


def line(done: Step, slo: Slo) -> str:
    """One step as a line of the terminal."""
    return (
        f"{done.offered_eps or 0:>10,.0f} {done.achieved_eps:>10,.0f} {ms(done.p50):>8} {ms(done.p95):>8} "
        f"{ms(done.p99):>8} {ms(done.p999):>8} {ms(done.p95_gateway):>16} {_number(done.us_per_event, 2):>14} "
        f"{_number(done.core_share, 2):>7} {_number(done.rss_mib, 0):>9} {_number(done.others, 2):>8}   "
        f"{verdict(done, slo)}"
    )


def markdown(results: dict[str, Any]) -> str:
    """The whole sweep: what was run, the knee, one row a step, the machine."""
    slo = slo_of(results)
    rows = sorted(steps_of(results), key=lambda done: done.offered_eps or 0.0)
    knee = results["knee_eps"]
    text = [
        f"# EPS sweep: {title(results)}",
        "",
        f"Objective (from the alert rules): p95 under {slo.p95:g} s and {slo.objective:.0%} of batches under "
        f"{slo.threshold:g} s, nothing refused or lost, {0.99:.0%} of what is offered taken in time.",
        f"Knee: **{summary(results)}**",
        "",
        "| offered EPS | achieved | accepted | refused | p50 ms | p95 | p99 | p99.9 | gateway's p95 | us CPU/event | "
        "cores | RSS MiB | others | verdict |",
        "|" + "---:|" * 13 + "---|",
    ]
    for done in rows:
        refused = ", ".join(f"{count} {reason}" for reason, count in done.refused.items()) or "0"
        cells = (
            f"{done.offered_eps or 0:,.0f}",
            f"{done.achieved_eps:,.0f}",
            f"{done.events_accepted:,}",
            refused,
            ms(done.p50),
            ms(done.p95),
            ms(done.p99),
            ms(done.p999),
            ms(done.p95_gateway),
            _number(done.us_per_event, 2),
            _number(done.core_share, 2),
            _number(done.rss_mib, 0),
            _number(done.others, 2),
            "**knee**" if done.offered_eps == round(knee, -2) and not done.faults(slo) else verdict(done, slo),
        )
        text.append("| " + " | ".join(cells) + " |")
    text += [
        "",
        "Latency is a batch's at the client, from the moment it was due; the gateway's own p95 is computed as "
        "Prometheus does from `logops_batch_latency_seconds`, which cannot see a request before it is read. Others: "
        "cores used by processes other than gateway and sender; the kernel's threads that sync count as the gateway.",
        "",
        machine.one_line(results["machine"]) + ".",
        "",
    ]
    return "\n".join(text)


def verdict(done: Step, slo: Slo) -> str:
    """``ok``, or what is wrong."""
    text = "; ".join(done.faults(slo)) or "ok"
    return f"(disturbed) {text}" if done.disturbed else text


def title(results: dict[str, Any]) -> str:
    """What was run, in a few words."""
    config = results["config"]
    workers = f"{config['workers']} worker{'s' if config['workers'] > 1 else ''}"
    auth = "signed" if config["auth"] else "unsigned"
    return (
        f"{config['mode']}, {workers}, {auth}, {config['format']} batches of {config['batch_size']}, "
        f"{config['corpus']} corpus, {config['durability']}"
    )


def summary(results: dict[str, Any]) -> str:
    """The knee, and the latency at half of it."""
    knee = results["knee_eps"]
    if not knee:
        return "none, the first step failed"
    text = f"{knee:,.0f} EPS"
    if results["half_knee"]:
        half = Step.of_json(results["half_knee"])
        text += f"; at half of it p95 {ms(half.p95)} ms, p99 {ms(half.p99)} ms"
    return text


def compare(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Ratios of two sweeps, after to before; steps of the same offered rate side by side."""
    text = [
        f"before: {title(before)}, commit {before['machine']['commit']}",
        f"after:  {title(after)}, commit {after['machine']['commit']}",
        "",
    ]
    for name in ("cpu", "cores", "python"):
        if before["machine"][name] != after["machine"][name]:
            text += [f"NOT COMPARABLE: {name} differs.", ""]
    text += ["| | before | after | ratio |", "|---|---:|---:|---:|"]
    text.append(_ratio("knee, EPS", before["knee_eps"], after["knee_eps"], "{:,.0f}".format))
    olds = {done.offered_eps: done for done in steps_of(before)}
    for new in steps_of(after):
        old = olds.get(new.offered_eps)
        if old is None or not new.offered_eps:
            continue
        at = f"at {new.offered_eps:,.0f}"
        text.append(_ratio(f"{at}: us CPU/event", old.us_per_event, new.us_per_event, "{:.2f}".format))
        text.append(_ratio(f"{at}: p95, ms", old.p95 * 1e3, new.p95 * 1e3, "{:.2f}".format))
        text.append(_ratio(f"{at}: p99, ms", old.p99 * 1e3, new.p99 * 1e3, "{:.2f}".format))
    return "\n".join(text)


def ms(seconds: float | None) -> str:
    """Seconds as milliseconds of three digits or so."""
    if seconds is None:
        return "-"
    value = seconds * 1e3
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _ratio(name: str, old: float | None, new: float | None, show: Callable[[float], str]) -> str:
    if not old or not new:
        return f"| {name} | {show(old) if old else '-'} | {show(new) if new else '-'} | - |"
    return f"| {name} | {show(old)} | {show(new)} | {new / old:.2f} |"
