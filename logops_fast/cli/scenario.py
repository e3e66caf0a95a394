"""``logops scenario``: run, list and validate scenarios, and report on the telemetry of a run."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from logops_fast.cli.options import add_json, example, number_in
from logops_fast.cli.output import print_json, print_table
from logops_fast.cli.traffic import (
    EXIT_INTERRUPTED,
    EXIT_LOST,
    add_target,
    check_out_file,
    complain_of,
    drive,
    print_totals,
    summarise,
    target_of,
)
from logops_fast.emitters.runner import missed, rehearse
from logops_fast.emitters.scenario import MAX_DURATION, Scenario, find, library, load
from logops_fast.emitters.totals import Totals
from logops_fast.telemetry.logs import configure as configure_logging


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    run_parser = actions.add_parser("run", help="run a scenario against a gateway")
    run_parser.add_argument("scenario", metavar="FILE|NAME", help="a file, or the name of a bundled scenario")
    add_run(run_parser)
    add_json(actions.add_parser("list", help="list the bundled scenarios"))
    validate = actions.add_parser("validate", help="check a scenario file")
    validate.add_argument("scenario", metavar="FILE")
    report = actions.add_parser("report", help="summarise the telemetry of a run, or compare two")
    report.add_argument("telemetry", metavar="FILE.jsonl")
    report.add_argument("other", metavar="OTHER.jsonl", nargs="?", help="compare with this run")
    report.add_argument("--html", metavar="OUT.html", help="write a self-contained page")
    report.add_argument("--png", metavar="OUT.png", help="write a picture (needs matplotlib)")
    example(
        parser,
        """
logops scenario list
logops scenario run spike --log-file spike.jsonl
logops scenario report spike.jsonl --html spike.html --png spike.png
logops scenario report before.jsonl after.jsonl --html compared.html
logops scenario run my.yaml --dry-run --seed 1 --start-at 0   # the same bytes each time
""",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run, which ``tools/run_scenario.py`` shares."""
    parser.add_argument("--seed", type=int, metavar="N", help="generate the same events and timetable each time")
    parser.add_argument("--duration", type=number_in(0.1, MAX_DURATION), metavar="S", help="overrides duration_sec")
    parser.add_argument("--dry-run", action="store_true", help="generate everything, send nothing, do not wait")
    parser.add_argument(
        "--start-at", type=number_in(0, 4e9), metavar="EPOCH", help="start time of a dry run (default: now)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any event was refused or lost")
    parser.add_argument("--log-file", metavar="FILE", help="telemetry as JSON lines (a dry run's: standard output)")
    parser.add_argument("--debug", action="store_true", help="log in detail on standard error")
    add_target(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run one of the actions and return the exit code."""
    if args.action == "run":
        return run_one(args)
    if args.action == "list":
        _list(as_json=args.json)
    elif args.action == "validate":
        found = load(find(args.scenario))
        events = sum(found.profile(plan).events_between(0.0, found.duration_sec) for plan in found.emitters)
        print(f"{args.scenario}: {found.name}, {found.duration_sec:g} s, {_emitters(found)}, {events:,.0f} events")
    else:
        return _report(args)
    return 0


def run_one(args: argparse.Namespace) -> int:
    """Run the scenario of ``args``; return 1 if its expectations were not met."""
    configure_logging("debug" if args.debug else "warning", "text")
    scenario = load(find(args.scenario))
    if args.duration:
        scenario = scenario.lasting(args.duration)
    log_file = check_out_file(args.log_file)
    if args.dry_run:
        return _rehearse(scenario, args, log_file)
    target = target_of(args)
    logging.getLogger("scenario").debug("%s against %s as %s", scenario.name, target.url, target.key)
    totals = drive(scenario, target, seed=args.seed, own_emitter=args.own_emitter, telemetry_path=log_file)
    problems = missed(scenario, totals)
    if args.json:
        print_totals(totals)
    else:
        summarise(totals)
        _each(totals)
    complain_of(problems)
    if problems or (args.strict and totals.lost.events):
        return EXIT_LOST
    return EXIT_INTERRUPTED if totals.interrupted else 0


def _rehearse(scenario: Scenario, args: argparse.Namespace, log_file: Path | None) -> int:
    start_at = time.time() if args.start_at is None else args.start_at
    if log_file is None:
        rehearse(scenario, sys.stdout.buffer.write, seed=args.seed, start_at=start_at)
        return 0
    with log_file.open("wb") as out:
        rehearse(scenario, out.write, seed=args.seed, start_at=start_at)
    return 0


def _each(totals: Totals) -> None:
    if len(totals.emitters) < 2:
        return
    rows = [
        (name, f"{one.sent.events:,}", f"{one.accepted.events:,}", f"{one.rejected.events:,}", f"{one.lost.events:,}",
         "-" if one.p95 is None else f"{one.p95 * 1e3:.1f} ms")
        for name, one in totals.emitters.items()
    ]  # fmt: skip
    print()
    print_table(("emitter", "sent", "accepted", "rejected", "lost", "p95"), rows)


def _list(*, as_json: bool) -> None:
    found = [(name, load(path)) for name, path in library().items()]
    if as_json:
        print_json(
            [
                {"name": name, "duration_sec": one.duration_sec, "emitters": [plan.name for plan in one.emitters],
                 "description": one.description}
                for name, one in found
            ]
        )  # fmt: skip
        return
    rows = [(name, f"{one.duration_sec:g} s", _emitters(one), one.description) for name, one in found]
    print_table(("name", "lasts", "emitters", "what it shows"), rows)


def _emitters(scenario: Scenario) -> str:
    return ", ".join(plan.name for plan in scenario.emitters)


def _report(args: argparse.Namespace) -> int:
    from logops_fast.emitters import report
    from logops_fast.emitters.record import read

    record = read(Path(args.telemetry))
    other = None if args.other is None else read(Path(args.other))
    html, png = check_out_file(args.html), check_out_file(args.png)
    if other is None:
        print(report.text(record))
    else:
        print_table(("", "A", "B", "change"), report.compare(record, other))
    if html is not None:
        page = report.html(record) if other is None else report.html_of_two(record, other)
        html.write_text(page, encoding="utf-8")
        print(f"wrote {html}")
    if png is not None:
        from logops_fast.emitters.report_png import png as picture

        png.write_bytes(picture(record, other))
        print(f"wrote {png}")
    return 0
