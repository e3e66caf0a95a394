"""``logops emit``: synthetic events of one kind at a steady rate."""

from __future__ import annotations

import argparse

from logops_fast.cli.options import add_json, example, number_in, whole_in
from logops_fast.cli.traffic import (
    EXIT_INTERRUPTED,
    EXIT_LOST,
    add_target,
    check_out_file,
    drive,
    print_totals,
    summarise,
    target_of,
)
from logops_fast.config.errors import ConfigError
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.emitters.base import Options
from logops_fast.emitters.registry import DEFAULT_RATIOS, KINDS
from logops_fast.emitters.scenario import (
    DEFAULT_BATCH_SIZE,
    MAX_BATCH_SIZE,
    MAX_DURATION,
    MAX_EPS,
    EmitterPlan,
    Scenario,
)
from logops_fast.emitters.syslog import FORMS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    ratio = number_in(0, 1)
    parser.add_argument("kind", choices=KINDS, help="what the events look like")
    parser.add_argument("--eps", type=number_in(0, MAX_EPS), default=100.0, metavar="N", help="events a second (100)")
    parser.add_argument(
        "--duration", type=number_in(0, MAX_DURATION), default=10.0, metavar="S", help="seconds; 0: until Ctrl-C (10)"
    )
    parser.add_argument(
        "--batch-size",
        type=whole_in(1, MAX_BATCH_SIZE),
        default=DEFAULT_BATCH_SIZE,
        metavar="N",
        help="events a request (100)",
    )
    parser.add_argument(
        "--partial-ratio", type=ratio, metavar="R", help="share of events with fields missing (csv: 0.1)"
    )
    parser.add_argument("--chaos", type=ratio, metavar="R", help="share of malformed events (noise: 0.6)")
    parser.add_argument("--error-ratio", type=ratio, metavar="R", help="share of events of level ERROR or FATAL")
    parser.add_argument("--form", choices=FORMS, default="mixed", help="of syslog lines (mixed)")
    parser.add_argument("--seed", type=int, metavar="N", help="the same events each time")
    parser.add_argument(
        "--on-refusal",
        choices=("drop", "retry"),
        default="drop",
        help="what to do on 429, 502 to 504 and broken connections (drop)",
    )
    parser.add_argument("--emitter", metavar="NAME", help="send as this emitter (default: the kind, if the client may)")
    parser.add_argument("--scenario-id", metavar="ID", default="emit", help="X-Scenario-Id (emit)")
    parser.add_argument("--log-file", metavar="FILE", help="telemetry as JSON lines")
    add_target(parser)
    add_json(parser)
    example(
        parser,
        """
logops emit json --eps 1000 --duration 30
logops emit csv --eps 50 --partial-ratio 0.3 --seed 7
logops emit noise --chaos 1 --on-refusal retry

Exit code 1 if events were lost: refused permanently, or never answered.
""",
    )


def run(args: argparse.Namespace) -> int:
    """Send events; return 1 if any were lost."""
    for option in ("emitter", "scenario_id"):
        name = getattr(args, option)
        if name is not None and not is_name(name):
            raise ConfigError(f"--{option.replace('_', '-')}: expected {NAME_RULE}")
    target = target_of(args)
    emitter = args.emitter
    if target.emitters is None and emitter is None:
        args.own_emitter = True  # as far as is known, the client may send as nothing else
    plan = EmitterPlan(
        name=args.kind,
        eps=args.eps,
        kind=args.kind,
        emitter=emitter,
        batch_size=args.batch_size,
        on_refusal=args.on_refusal,
        options=Options(
            partial_ratio=_ratio(args, "partial_ratio"),
            chaos=_ratio(args, "chaos"),
            error_ratio=args.error_ratio,
            form=args.form,
        ),
    )
    duration = args.duration or float(MAX_DURATION)
    scenario = Scenario(args.scenario_id, duration, (plan,), tick_sec=min(1.0, duration))
    totals = drive(
        scenario,
        target,
        seed=args.seed,
        own_emitter=args.own_emitter,
        telemetry_path=check_out_file(args.log_file),
    )
    if args.json:
        print_totals(totals)
    else:
        summarise(totals)
    if totals.lost.events:
        return EXIT_LOST
    return EXIT_INTERRUPTED if totals.interrupted and args.duration else 0


def _ratio(args: argparse.Namespace, name: str) -> float:
    given: float | None = getattr(args, name)
    return DEFAULT_RATIOS.get(args.kind, {}).get(name, 0.0) if given is None else given
