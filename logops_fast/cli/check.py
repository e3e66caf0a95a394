"""``logops check``: what would go wrong at the start, without starting."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final, cast

from logops_fast.cli.findings import Finding, fail
from logops_fast.cli.options import add_json, example, load_settings
from logops_fast.cli.output import GREEN, RED, YELLOW, is_fancy, paint, print_json
from logops_fast.config.errors import ConfigError
from logops_fast.telemetry.logs import escape

_COLOURS: Final = {"ok": GREEN, "warn": YELLOW, "fail": RED}
_PART: Final = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "role", nargs="?", choices=("up", "authgw", "ingest", "ship"), default="up", help="what would be started (up)"
    )
    add_json(parser)
    example(
        parser,
        """
logops check
ok    settings  no file, 0 values that are not defaults (logops config --changed)
ok    keys      data/keys.yaml does not exist yet; the start makes it, with one random client
fail  ports     authgw.port: port 8081 on 127.0.0.1 is in use: stop the process that listens there, or ...
...
Run it as the user that the service has; with --config as the service is given it.
""",
    )


def run(args: argparse.Namespace) -> int:
    """Print a line for each finding; return 1 if any of them fails."""
    findings = _findings(args)
    failed = False
    shown: list[Finding] = []
    for finding in findings:
        failed = failed or finding.verdict == "fail"
        if args.json:
            shown.append(finding)
        else:
            mark = paint(finding.verdict.ljust(4), _COLOURS[finding.verdict], is_fancy())
            print(f"{mark}  {finding.part.ljust(_PART)}{escape(finding.detail)}", flush=True)
    if args.json:
        print_json({"ok": not failed, "findings": [finding._asdict() for finding in shown]})
    return int(failed)


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    try:
        loaded = load_settings(args, quiet=True)
    except ConfigError as error:
        yield fail("settings", error.located)  # nothing else can be judged without them
        return
    # Imported here because it brings the gateways.
    from logops_fast.cli.preflight import CheckedRole, check

    yield from check(loaded, cast(CheckedRole, args.role))
