"""``logops keys``: edits the clients of the keys file. A new secret is printed once, and nowhere else."""

from __future__ import annotations

import argparse
from pathlib import Path

from logops_fast.cli.options import add_json, example, load_settings
from logops_fast.cli.output import print_json, print_table, warn
from logops_fast.config.keys_edit import add_client, add_fernet_key, revoke_client, revoke_old_secret, rotate_client
from logops_fast.config.keys_file import Keyring
from logops_fast.config.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_json(actions.add_parser("list", help="the clients, without their secrets"))
    add = actions.add_parser("add", help="a new client with a new secret")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--emitter", metavar="E", help="what it sends as (default: its name)")
    add.add_argument("--emitters", metavar="A,B", default="", help="emitters X-Emitter may name besides")
    add_json(add)
    rotate = actions.add_parser("rotate", help="a new secret; the current one stays valid until revoked")
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument("--drop-oldest", action="store_true", help="end the validity of the older of two secrets")
    add_json(rotate)
    revoke = actions.add_parser("revoke", help="remove a client, or with --old its older secret")
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument("--old", action="store_true", help="only the older of two secrets")
    actions.add_parser("check", help="check the file and warn of weak secrets")
    actions.add_parser("fernet", help="a new key for pii.encrypt; the existing ones still decrypt")
    example(
        parser,
        """
logops keys add web-1 --emitter web --emitters batch
logops keys rotate web-1         # senders change over, then:
logops keys revoke web-1 --old
kill -HUP PID                    # a running gateway reads the file again; its log names PID

With auth.watch_keys a gateway needs no signal. The file is rewritten: comments in it are not kept.
""",
    )


def run(args: argparse.Namespace) -> int:
    """Run one of the actions."""
    settings = load_settings(args, quiet=True).settings
    path = Path(settings.auth.keys_file)
    action = args.action
    if action == "list":
        _list(Keyring.load(path), as_json=args.json)
    elif action == "add":
        emitters = [name.strip() for name in args.emitters.split(",") if name.strip()]
        _tell_secret(args.name, add_client(path, args.name, args.emitter, emitters), as_json=args.json)
    elif action == "rotate":
        secret = rotate_client(path, args.name, drop_oldest=args.drop_oldest)
        _tell_secret(args.name, secret, as_json=args.json)
        if not args.json:
            print(f"The one before it stays valid until: logops keys revoke {args.name} --old")
    elif action == "revoke":
        _revoke(path, args.name, old=args.old)
    elif action == "check":
        keyring = Keyring.load(path)
        for warning in keyring.warnings:
            warn(warning)
        print(f"{path}: {len(keyring.clients)} clients, {len(keyring.warnings)} warnings")
    else:
        _fernet(settings)
    return 0


def _list(keyring: Keyring, *, as_json: bool) -> None:
    clients = keyring.clients.values()
    if as_json:
        print_json(
            [
                {"name": c.id, "emitter": c.emitter, "emitters": sorted(c.emitters), "secrets": len(c.secrets)}
                for c in clients
            ]
        )
        return
    rows = [(c.id, c.emitter, ", ".join(sorted(c.emitters)), str(len(c.secrets))) for c in clients]
    print_table(("client", "emitter", "may send as", "secrets"), rows)


def _tell_secret(name: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "secret": secret})
    else:
        print(f"The new secret of {name}, shown only now:\n{secret}")


def _revoke(path: Path, name: str, *, old: bool) -> None:
    if not old:
        revoke_client(path, name)
        print(f"{name} is no longer a client.")
    elif revoke_old_secret(path, name):
        print(f"Only the newest secret of {name} is valid now.")
    else:
        print(f"{name} has one secret; nothing was changed.")


def _fernet(settings: Settings) -> None:
    path = Path(settings.pii.fernet_keys_file)
    add_fernet_key(path)
    print(f"{path} has a new key, which encrypts from now on; keep the others, to decrypt what they encrypted.")
