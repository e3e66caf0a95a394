"""``logops keys``: edits the clients of the keys file. A new secret or token is printed once, and nowhere else."""

from __future__ import annotations

import argparse
from base64 import b64encode
from pathlib import Path

from logops_fast.cli.options import add_json, example, load_settings
from logops_fast.cli.output import print_json, print_table, warn
from logops_fast.config.keys_edit import (
    add_client,
    add_fernet_key,
    add_token,
    revoke_client,
    revoke_old_secret,
    revoke_tokens,
    rotate_client,
)
from logops_fast.config.keys_file import CLIENT_MODES, Client, Keyring
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
    token = actions.add_parser("token", help="a new token, for a sender that cannot sign; only its hash is stored")
    token.add_argument("name", metavar="CLIENT")
    add_json(token)
    revoke = actions.add_parser("revoke", help="remove a client, or with --old its older secret, or its tokens")
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument("--old", action="store_true", help="all but the newest secret, or token")
    revoke.add_argument("--tokens", action="store_true", help="its tokens, not its secrets")
    actions.add_parser("check", help="check the file and warn of weak secrets")
    actions.add_parser("fernet", help="a new key for pii.encrypt; the existing ones still decrypt")
    example(
        parser,
        """
logops keys add web-1 --emitter web --emitters batch
logops keys rotate web-1         # senders change over, then:
logops keys revoke web-1 --old
logops keys add otel && logops keys token otel   # auth.mode: any; then send it over TLS
logops keys revoke otel --tokens --old           # once the newest is in use everywhere

A running gateway takes the file over within seconds, or on SIGHUP where auth.watch_keys is false.
The file is rewritten: comments in it are not kept.
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
    elif action == "token":
        _show_token(args.name, add_token(path, args.name), settings, as_json=args.json)
    elif action == "revoke" and args.tokens:
        left = revoke_tokens(path, args.name, keep=1 if args.old else 0)
        print(f"Only the newest token of {args.name} is valid now." if left else f"{args.name} has no token any more.")
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
                {
                    "name": c.id,
                    "emitter": c.emitter,
                    "emitters": sorted(c.emitters),
                    "secrets": len(c.secrets),
                    "tokens": len(c.tokens),
                    "modes": sorted(c.modes),
                }
                for c in clients
            ]
        )
        return
    rows = [
        (c.id, c.emitter, ", ".join(sorted(c.emitters)), str(len(c.secrets)), str(len(c.tokens)), _modes(c))
        for c in clients
    ]
    print_table(("client", "emitter", "may send as", "secrets", "tokens", "held to"), rows)


def _modes(client: Client) -> str:
    return "" if client.modes == frozenset(CLIENT_MODES) else ", ".join(sorted(client.modes))


def _show_token(name: str, token: str, settings: Settings, *, as_json: bool) -> None:
    mode = settings.auth.mode
    if mode in ("hmac", "none"):
        warn(
            f"auth.mode is {mode}, in which tokens are not accepted; "
            "set it to any (or api_key) and start the gateway again"
        )
    if as_json:
        print_json({"name": name, "token": token})
        return
    basic = b64encode(f"{name}:{token}".encode()).decode()
    print(f"The new token of {name}, shown only now; the keys file has its hash:\n{token}\n")
    print("Send it over TLS, in one of these ways:")
    print(f"  Authorization: Bearer {token}")
    print(f"  Authorization: Basic {basic}")
    print(f"    (user {name}, the token as password)")
    print(f"  X-Api-Key: {token}")
    print(f"  X-Api-Key: {name}:{token}")


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
