"""``logops config``: the effective configuration, each value with its source; secrets are never shown."""

from __future__ import annotations

import argparse

import orjson

from logops_fast.cli.options import add_json, example, load_settings
from logops_fast.cli.output import complain, print_json, print_table
from logops_fast.config.errors import did_you_mean
from logops_fast.config.loader import flat, shown_value
from logops_fast.config.template import json_schema, yaml_template


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "prefix", nargs="?", default="", metavar="PATH", help="only settings below this path, such as ratelimit"
    )
    parser.add_argument("--changed", action="store_true", help="only values that are not defaults")
    made = parser.add_mutually_exclusive_group()
    made.add_argument("--yaml", action="store_true", help="print a commented file to start from")
    made.add_argument("--schema", action="store_true", help="print the JSON Schema of the file, for editors")
    add_json(parser)
    example(
        parser,
        """
LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY=500 logops config ratelimit
setting                         value  source
ratelimit.per_emitter.capacity  500    env LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY

logops config --yaml > logops.yaml
""",
    )


def run(args: argparse.Namespace) -> int:
    """Print the configuration; return 1 if no setting has the given path."""
    if args.yaml:
        print(yaml_template(), end="")
        return 0
    if args.schema:
        print_json(json_schema())
        return 0
    loaded = load_settings(args)
    rows = [
        (path, shown_value(path, value), loaded.provenance[path])
        for path, value in flat(loaded.settings).items()
        if not args.prefix or path == args.prefix or path.startswith(f"{args.prefix.rstrip('.')}.")
    ]
    if not rows:
        known = {*loaded.provenance, *(path.rpartition(".")[0] for path in loaded.provenance)}
        complain(f"no setting has the path {args.prefix}{did_you_mean(args.prefix, sorted(known))}")
        return 1
    if args.changed:
        rows = [row for row in rows if row[2] != "default"]
    if args.json:
        print_json({path: {"value": value, "source": source} for path, value, source in rows})
    else:
        print_table(("setting", "value", "source"), [(path, _text(value), source) for path, value, source in rows])
    return 0


def _text(value: object) -> str:
    if isinstance(value, str):
        return value or '""'
    return f"{value:.15g}" if isinstance(value, float) else orjson.dumps(value).decode()
