"""logops authgw: the Auth Gateway alone, forwarding over HTTP."""

from __future__ import annotations

import argparse
from typing import Final

from logops_fast.cli import serve
from logops_fast.cli.options import example

DOORS: Final = ("authgw",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    serve.configure(parser, DOORS)
    example(parser, "LOGOPS_FORWARD__URL=http://ingest:8080/v1/logs logops authgw --authgw-host 0.0.0.0")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal stops it; return 0 after a clean drain."""
    return serve.serve(args, "authgw")
