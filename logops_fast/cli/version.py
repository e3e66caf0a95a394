"""``logops version``: the version, and what runs."""

from __future__ import annotations

import argparse
import platform

from logops_fast import __version__
from logops_fast.cli.options import add_json, example
from logops_fast.cli.output import print_json
from logops_fast.runtime.build import build


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json(parser)
    example(parser, "logops version --json")


def run(args: argparse.Namespace) -> int:
    """Print the version."""
    if args.json:
        print_json({"version": __version__, "build": build(), "python": platform.python_version()})
    else:
        print(version_line())
    return 0


def version_line() -> str:
    """Return the program's name, its version and the build."""
    return f"logops {__version__} ({build()})"
