#!/usr/bin/env python3
"""Print the signed headers of a request: a thin wrapper of `logops sign`, with key and secret as arguments.

The options come quoted for a shell, so a command that uses them goes through eval:

    URL=http://127.0.0.1:8081/ingest BODY='[{"msg":"hello"}]'
    SIGNED=$(tools/sign_hmac.py demo "$SECRET" POST "$URL" "$BODY")
    eval "curl $SIGNED" -H Content-Type:application/json -d "'$BODY'" "$URL"
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a checkout, not installed


def main() -> int:
    from logops_fast.cli.options import add_body, example, read_body
    from logops_fast.cli.sign import add_stamps, headers_of

    parser = argparse.ArgumentParser(
        description="Print the signed headers of a request, as curl's -H options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("key", metavar="KEY", help="X-Api-Key: the client's name")
    parser.add_argument("secret", metavar="SECRET", help="the client's secret")
    parser.add_argument("method", metavar="METHOD", help="POST")
    parser.add_argument("url", metavar="URL", help="the whole URL, or the target alone")
    add_body(parser)
    add_stamps(parser)
    parser.add_argument("--one-per-line", action="store_true", help="print Name: value, a line each")
    example(parser, "sign_hmac.py demo \"$SECRET\" POST http://127.0.0.1:8081/ingest '{}' --one-per-line")
    args = parser.parse_intermixed_args()  # BODY may follow the options
    try:
        body = read_body(args) or b""
    except OSError as exc:
        parser.error(f"{exc.filename}: {exc.strerror}")
    lines = [f"{name}: {value}" for name, value in headers_of(args, args.key, os.fsencode(args.secret), body)]
    print("\n".join(lines) if args.one_per_line else " ".join(f"-H {shlex.quote(line)}" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
