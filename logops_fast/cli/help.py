"""``logops help``: the help of the program, of a command, or of one of its actions."""

from __future__ import annotations

import argparse

from logops_fast.cli.options import example
from logops_fast.cli.output import complain
from logops_fast.cli.parsers import suggestion


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("words", nargs="*", metavar="COMMAND", help="the command, and its action")
    example(parser, "logops help keys rotate")


def run(args: argparse.Namespace) -> int:
    """Print the help; return 2 if there is no such command."""
    from logops_fast.cli.main import COMMANDS, load_command, top_parser

    if not args.words:
        top_parser().print_help()
        return 0
    name, *actions = args.words
    if name not in COMMANDS:
        complain(f"unknown command {name!r}{suggestion(name, COMMANDS) or '; see logops --help'}")
        return 2
    _, parser = load_command(name)
    parser.parse_args([*actions, "--help"])  # prints, and exits
    return 0
