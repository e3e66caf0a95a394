"""logops ingest: the Ingest Gateway alone, behind an Auth Gateway."""

from __future__ import annotations

import argparse
from typing import Final

from logops_fast.cli import serve
from logops_fast.cli.options import example

DOORS: Final = ("ingest",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    serve.configure(parser, DOORS)
    example(parser, "logops ingest --ingest-host 0.0.0.0 --sink-dir /var/log/logops")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal stops it; return 0 after a clean drain."""
    return serve.serve(args, "ingest")
