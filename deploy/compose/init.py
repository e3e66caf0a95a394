"""Runs once before the others: makes what each installation has of its own, and leaves alone what is there.

The clients' keys (a random client ``demo``), Grafana's administrator's password, and the collectors' directories.
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
    parser.add_argument("--positions", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.keys.exists():
        print(f"{args.keys}: kept")
    else:
        print(f"{args.keys}: made, with one random client, {make_demo_keys(args.keys).id}")
    if args.grafana_password.exists():
        print(f"{args.grafana_password}: kept")
    else:
        # Grafana runs as another user; nothing but Grafana mounts the volume this file is alone on.
        args.grafana_password.write_text(secrets.token_urlsafe(18))
        args.grafana_password.chmod(0o444)
        print(f"{args.grafana_password}: made")
    for name in COLLECTORS:
        (args.positions / name).mkdir(parents=True, exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
