"""The ``logops`` command: dispatch to one subcommand, and its errors as one line on standard error.

Each subcommand is a module with ``configure(parser)`` and ``run(args) -> int``. Only the module of the subcommand that
runs is imported, so that ``logops sign`` does not pay for a gateway.

Exit codes: 0 success; 1 the command ran and failed; 2 wrong usage or configuration; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NamedTuple, Protocol, cast

from logops_fast.cli.output import complain
from logops_fast.cli.parsers import Formatter, Parser, suggestion
from logops_fast.cli.version import version_line
from logops_fast.errors import OperatorError

EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it
EXIT_PIPE: Final = 141  # 128 + SIGPIPE

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("logops_fast.cli.up", "run both gateways on this machine; nothing else is needed"),
    "authgw": ("logops_fast.cli.authgw", "run the Auth Gateway alone, forwarding over HTTP"),
    "ingest": ("logops_fast.cli.ingest", "run the Ingest Gateway alone"),
    "check": ("logops_fast.cli.check", "find what would go wrong at the start, without starting"),
    "demo": ("logops_fast.cli.demo", "start both gateways, run a scenario and show the result"),
    "emit": ("logops_fast.cli.emit", "send synthetic events at a steady rate"),
    "scenario": ("logops_fast.cli.scenario", "run, list or validate scenarios of several emitters"),
    "console": ("logops_fast.cli.console", "serve a web page for scenarios and a running gateway"),
    "sign": ("logops_fast.cli.sign", "print the headers of a signed request"),
    "verify": ("logops_fast.cli.verify", "check the headers of a signed request and report what is wrong"),
    "keys": ("logops_fast.cli.keys", "list, add, rotate and revoke clients"),
    "top": ("logops_fast.cli.top", "watch running gateways on a live screen"),
    "tail": ("logops_fast.cli.tail", "follow the stored events"),
    "parse": ("logops_fast.cli.parse", "show what would be stored of a file, and why"),
    "decrypt": ("logops_fast.cli.decrypt", "decrypt encrypted fields"),
    "ship": ("logops_fast.cli.ship", "push every stored line to Loki, once"),
    "housekeeping": ("logops_fast.cli.housekeeping", "delete or archive old files once"),
    "reload": ("logops_fast.cli.reload", "have a running gateway read keys, limits and certificates again"),
    "config": ("logops_fast.cli.config", "print the effective configuration and the source of each value"),
    "completion": ("logops_fast.cli.completion", "print the completion script of a shell"),
    "version": ("logops_fast.cli.version", "print the version and what runs"),
    "help": ("logops_fast.cli.help", "show the help of a command"),
}


class Command(Protocol):
    """The interface of a subcommand's module."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments and the example (``options.example``)."""

    def run(self, args: argparse.Namespace) -> int:
        """Run the subcommand and return the exit code."""


class _Start(NamedTuple):
    config: str | None
    command: str | None
    rest: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``logops`` with ``argv`` (default: the arguments of the process) and return the exit code."""
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except SystemExit as error:  # argparse: --help, --version, wrong usage
        return error.code if isinstance(error.code, int) else EXIT_USAGE if error.code else 0
    except OperatorError as error:
        complain(error.located)
        return EXIT_USAGE
    except BrokenPipeError:
        # `logops tail | head`: the reader is gone, and the interpreter would complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return EXIT_USAGE
    return code


def _dispatch(argv: list[str]) -> int:
    start = _split(argv)
    if start.command is None:
        top_parser().print_help()
        return EXIT_USAGE
    if start.command not in COMMANDS:
        hint = suggestion(start.command, COMMANDS) or "; see logops --help"
        complain(f"unknown command {start.command!r}{hint}")
        return EXIT_USAGE
    command, parser = load_command(start.command, start.config)
    parser.check_options(start.rest)
    return command.run(parser.parse_args(start.rest))


def load_command(name: str, config: str | None = None) -> tuple[Command, Parser]:
    """Import a command and return it with its parser; ``config`` is the value of ``--config``."""
    module, summary = COMMANDS[name]
    command = cast(Command, import_module(module))
    parser = Parser(
        prog=f"logops {name}",
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    # Listed for --help alone: `_split` has taken it out, wherever it was, since an action's own parser
    # (`logops keys list`) would not know it.
    parser.add_argument("--config", metavar="FILE", default=config, help="settings (default: logops.yaml if there)")
    return command, parser


def _split(argv: list[str]) -> _Start:
    """Split into ``--config``, the subcommand, and its own arguments.

    Done by hand because an argparse parser that knew every subcommand's options would have to import them all.
    """
    config, rest = _take_config(argv)
    if not rest:
        return _Start(config, None, [])
    if rest[0].startswith("-"):
        top_parser().parse_args(rest[:1])  # --help, --version, or the complaint
    return _Start(config, rest[0], rest[1:])


def _take_config(argv: list[str]) -> tuple[str | None, list[str]]:
    """Return the value of ``--config``, which may be anywhere before a ``--``, and the other arguments."""
    config: str | None = None
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif name == "--config":
            config = value if equals else next(words, None)
            if config is None:
                top_parser().parse_args(["--config"])  # complains: a value is expected
        else:
            rest.append(word)
    return config, rest


def top_parser() -> Parser:
    """Return the parser of what stands before the command."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name.ljust(width)}  {summary}" for name, (_, summary) in COMMANDS.items())
    parser = Parser(
        prog="logops",
        usage="logops [--config FILE] COMMAND ...",
        description="A log gateway: authenticates, rate-limits, masks and stores.",
        epilog=f"commands:\n{listed}\n\n`logops COMMAND --help` shows its options and an example.\n\n"
        "Example:\n  logops up          # in one terminal\n  logops emit json   # in another",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="settings (default: logops.yaml if there)")
    parser.add_argument("--version", action="version", version=version_line())
    return parser
