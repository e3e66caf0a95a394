"""``logops housekeeping``: delete or archive old files once, as the gateway does on its own."""

from __future__ import annotations

import argparse

from logops_fast.cli.options import add_json, example, load_settings
from logops_fast.cli.output import print_json
from logops_fast.runtime import housekeeping


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--dry-run", action="store_true", help="report what would be done, and do nothing")
    parser.add_argument("--retention-days", type=int, metavar="N", help="days, overriding housekeeping.retention_days")
    add_json(parser)
    example(parser, "logops housekeeping --dry-run\nlogops housekeeping --retention-days 30")


def run(args: argparse.Namespace) -> int:
    """Run housekeeping; return 1 if a file could not be processed."""
    overrides = {"housekeeping.retention_days": args.retention_days}
    report = housekeeping.run(load_settings(args, overrides, quiet=True).settings, dry_run=args.dry_run)
    if args.json:
        print_json(report.as_dict())
    else:
        print(report.text())
    return 1 if report.errors else 0
