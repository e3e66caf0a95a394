"""Our gateways against what a user would pick instead: the same signed bodies, one core, in alternation.

Each round starts every contender once, in turn, so that a slow minute of the machine meets all alike. What a table
shows is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any, Final

from bench import machine, report, servers, step
from bench.peers import contenders, rsyslog
from bench.peers.contenders import ALL, GUARDED, OURS, PLAIN, Contender
from logops_fast.config.slo import Slo, load_slo

SHARE_OF_SLOWEST: Final = 0.5
"""What all are offered when their latency is compared, as a share of what the slowest takes."""


def main(words: list[str] | None = None) -> int:
    """Entry point."""
    args = arguments(words)
    found = [one for one in ALL if _installed(one) and (not args.only or one.name in args.only)]
    for one in ALL:
        if not _installed(one):
            print(f"left out, {one.needs} is not installed: {one.name}", file=sys.stderr)
    results = race(found, args)
    if args.rsyslog and not args.only:
        results["rsyslog"] = rsyslog.run(args.lines, args.rounds, args.dir)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(table(results))
    print("\n" + table(results))
    return 0


def race(found: list[Contender], args: argparse.Namespace) -> dict[str, Any]:
    """Rounds over all: as much as each takes, then all at the same rate."""
    slo, bodies = load_slo(), step.make_bodies(args.batch_size, args.corpus)
    with servers.scratch(args.dir) as folder:
        facts = machine.facts(folder, contenders.PACKAGES)
    full: dict[str, list[step.Step]] = {one.name: [] for one in found}
    equal: dict[str, list[step.Step]] = {one.name: [] for one in found}
    for number in range(args.rounds):
        for one in found:
            full[one.name].append(_measure(one, bodies, slo, None, args, f"round {number + 1}"))
    rate = args.rate or round(
        SHARE_OF_SLOWEST * min(_median(steps, "achieved_eps") or 0.0 for steps in full.values()), -3
    )
    for number in range(args.rounds):
        for one in found:
            equal[one.name].append(_measure(one, bodies, slo, max(rate, 1000.0), args, f"round {number + 1}"))
    return {
        "kind": "peers",
        "machine": facts,
        "batch_size": args.batch_size,
        "corpus": args.corpus,
        "seconds": args.seconds,
        "rounds": args.rounds,
        "equal_eps": rate,
        "full": {name: [one.to_json() for one in steps] for name, steps in full.items()},
        "equal": {name: [one.to_json() for one in steps] for name, steps in equal.items()},
    }


def _measure(
    one: Contender, bodies: list[Any], slo: Slo, eps: float | None, args: argparse.Namespace, label: str
) -> step.Step:
    with servers.scratch(args.dir) as folder, contenders.running(one, folder) as server:
        plan, cores = step.plan_for(server, bodies), machine.share_out(1)
        done = step.least_disturbed(
            lambda: step.measure(server, plan, slo, cores, eps=eps, seconds=args.seconds, warmup=0.5), args.patience
        )
    wrong = [f"{count} x {reason}" for reason, count in done.refused.items()]
    if done.events_stored != done.events_accepted:
        wrong.append(f"{done.events_stored} lines stored of {done.events_accepted} accepted")
    print(
        f"{label}  {one.name:<18} {'full' if eps is None else f'{eps:,.0f}':>8} {done.achieved_eps:>9,.0f} EPS  "
        f"{done.cpu_eps or 0:>9,.0f} a CPU second  p99 {report.ms(done.p99):>6} ms  "
        f"others {done.others or 0:.2f}  {'; '.join(wrong) or 'ok'}",
        flush=True,
    )
    if wrong:
        raise SystemExit(f"{one.name} did not do the job: its figures would mean nothing")
    return done


def table(results: dict[str, Any]) -> str:
    """The ratio table, in Markdown."""
    full, equal = (
        {name: [step.Step.of_json(data) for data in steps] for name, steps in results[part].items()}
        for part in ("full", "equal")
    )
    names = [one for one in ALL if one.name in full]
    per_core = {one: _median(full[one.name], "cpu_eps") or 0.0 for one in names}
    base = per_core.get(OURS)
    corpus = results.get("corpus", "mixed")
    text = [
        f"Batches of {results['batch_size']} events, signed, {corpus} corpus, one core, median of {results['rounds']} "
        f"rounds of {results['seconds']:g} s in alternation. EPS per core: events stored for each CPU second of the "
        f"server. p99: batch latency while all are offered the same {results['equal_eps']:,.0f} EPS.",
        "",
        "| | pipeline | EPS per core | ours is | EPS, wall | p50 ms | p99 ms | RSS MiB | others |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in names:
        cpu = per_core[one]
        mark = " (disturbed)" if (_median(equal[one.name], "others") or 0.0) > step.QUIET else ""
        ratio = f"{base / cpu:.1f} x" if base and cpu else "-"
        cells = (
            one.http,
            one.pipeline,
            f"{cpu:,.0f}",
            "1" if one is OURS else ratio,
            f"{_median(full[one.name], 'achieved_eps') or 0:,.0f}",
            report.ms(_median(equal[one.name], "p50")) + mark,
            report.ms(_median(equal[one.name], "p99")) + mark,
            f"{_median(full[one.name], 'rss_mib') or 0:,.0f}",
            f"{_median(full[one.name], 'others') or 0:.2f}",
        )
        text.append("| " + " | ".join(cells) + " |")
    text += [
        "",
        *_headline(per_core),
        "Written plainly: orjson, compiled patterns, each applied to each string, one event at a time, lines handed to "
        "the operating system and not synced. Guarded: the same with each pattern behind a cheap test. Synced: "
        "guarded, and each batch written and synced in a thread before it is answered. Our pipeline syncs each batch "
        "before it answers, on every row that has it; p50 and p99 compare with the synced row's. Two processes: HTTP "
        "between them, both on the same core. Others: cores in use by other processes.",
    ]
    if corpus == "field":
        text += [
            "",
            "The plain rows know the names of the mixed corpus alone. Most events of this one bring others (`@t`, "
            "`log.level`, `severityText`), which those rows neither find nor settle: they do less work here.",
        ]
    if "rsyslog" in results:
        text += ["", *rsyslog.table(results["rsyslog"])]
    text += ["", machine.one_line(results["machine"]) + ".", ""]
    return "\n".join(text)


def _headline(per_core: dict[Contender, float]) -> list[str]:
    """Ours against the best of those written plainly, and of those guarded."""
    against = []
    for pipeline in (PLAIN, GUARDED):
        best = max((one for one in per_core if one.pipeline == pipeline), key=per_core.__getitem__, default=None)
        if best and per_core[best] and OURS in per_core:
            against.append(f"**{per_core[OURS] / per_core[best]:.1f} x** the best *{pipeline}* ({best.http})")
    return [f"EPS per core, {OURS.http}: {', '.join(against)}.", ""] if against else []


def _median(steps: list[step.Step], name: str) -> float | None:
    values = [value for one in steps if (value := getattr(one, name)) is not None]
    return statistics.median(values) if values else None


def _installed(one: Contender) -> bool:
    return not one.needs or bool(machine.version(one.needs))


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each contender in each round")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--corpus", choices=("mixed", "field"), default="mixed", help="see bench/corpus.py (mixed)")
    parser.add_argument("--rate", type=float, help="EPS offered to all when latency is compared")
    parser.add_argument("--patience", type=int, default=2, help="times a disturbed run is made again (2)")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in ALL])
    parser.add_argument("--lines", type=int, default=600_000, help="lines for the rsyslog comparison")
    parser.add_argument("--no-rsyslog", dest="rsyslog", action="store_false")
    parser.add_argument("--dir", type=Path, help="where they write (build/bench)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/peers"), help="results, without a suffix")
    return parser.parse_args(words)
