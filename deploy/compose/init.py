"""Runs once before the others: makes what each installation has of its own, and leaves alone what is there.

The clients' keys (a random client ``demo``), the passwords of Grafana's administrator and of Redis, and the collectors'
directories.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from logops_fast.config.keys_file import make_demo_keys

COLLECTORS = ("promtail", "alloy")


def main(argv: list[str] | None = None) -> int:
    """Make what is missing; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--grafana-password", type=Path, required=True)
    parser.add_argument("--redis-password", type=Path, required=True)
    parser.add_argument("--positions", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.keys.exists():
        print(f"{args.keys}: kept")
    else:
        print(f"{args.keys}: made, with one random client, {make_demo_keys(args.keys).id}")
    for path in (args.grafana_password, args.redis_password):
        if path.exists():
            print(f"{path}: kept")
            continue
        # Grafana and Redis run as other users; only those who need the file mount the volume it is alone on.
        path.write_text(secrets.token_urlsafe(18))
        path.chmod(0o444)
        print(f"{path}: made")
    for name in COLLECTORS:
        (args.positions / name).mkdir(parents=True, exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
