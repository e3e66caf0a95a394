"""Options and start-up steps that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from logops_fast.cli.output import warn
from logops_fast.config.errors import ConfigError
from logops_fast.config.loader import Loaded, config_path, load


def example(parser: argparse.ArgumentParser, text: str) -> None:
    """Put ``text`` under "Example" at the end of a command's help."""
    lines = "\n".join(f"  {line}" if line else "" for line in text.strip().splitlines())
    parser.epilog = f"Example:\n{lines}"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_body(parser: argparse.ArgumentParser) -> None:
    """Add ``BODY`` and ``--body-file``."""
    parser.add_argument("body", nargs="?", metavar="BODY", help="the body; none: empty")
    parser.add_argument("--body-file", metavar="FILE", help="read the body from a file; - for standard input")


def standard_input() -> BinaryIO:
    """Return standard input; on a terminal say so, since a command that waits for it looks as if it hung."""
    if sys.stdin.isatty():
        print("reading standard input; Ctrl-D ends it", file=sys.stderr)
    return sys.stdin.buffer


def read_body(args: argparse.Namespace) -> bytes | None:
    """Return the body that the options of ``add_body`` give, or None. Raises ConfigError if they give two."""
    if args.body is not None and args.body_file is not None:
        raise ConfigError("BODY and --body-file are both given: leave one out")
    if args.body_file == "-":
        return standard_input().read()
    if args.body_file is not None:
        return Path(args.body_file).read_bytes()
    return None if args.body is None else os.fsencode(args.body)


def number_in(least: float, most: float) -> Callable[[str], float]:
    """Return an argparse type: a number within bounds."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected a number from {least:.15g} to {most:.15g}, got {text!r}")
        return value

    return number


def whole_in(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type: an integer within bounds."""

    def whole(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected an integer from {least} to {most}, got {text!r}")
        return int(text)

    return whole


def load_settings(
    args: argparse.Namespace, overrides: Mapping[str, Any] | None = None, *, quiet: bool = False
) -> Loaded:
    """Return the configuration of ``--config``, the environment and flags; print its warnings unless ``quiet``.

    Raises ConfigError.
    """
    loaded = load(config_path(args.config), os.environ, overrides)
    for warning in () if quiet else loaded.warnings:
        warn(warning)
    return loaded
