"""logops up: both gateways on this machine, in the same worker processes."""

from __future__ import annotations

import argparse
from typing import Final

from logops_fast.cli import serve
from logops_fast.cli.options import example

DOORS: Final = ("authgw", "ingest")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    serve.configure(parser, DOORS)
    example(parser, "logops up --workers auto")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal stops it; return 0 after a clean drain."""
    return serve.serve(args, "up")
