"""``logops sign``: the headers of a signed request, right ones or, to try the refusals, wrong ones."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import time
from pathlib import Path

from logops_fast.cli.options import add_body, add_json, example, load_settings, read_body
from logops_fast.cli.output import print_json
from logops_fast.config.environment import ClientEnvironment
from logops_fast.config.errors import ConfigError
from logops_fast.config.keys_file import DEMO_CLIENT, Keyring
from logops_fast.formats.signature import SigningKey, signed_headers, target_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("method", metavar="METHOD", help="POST")
    parser.add_argument("url", metavar="URL", help="the whole URL, or the target alone")
    add_body(parser)
    parser.add_argument("--key", metavar="NAME", help="the client (default: LOGOPS_API_KEY, else of the keys file)")
    parser.add_argument("--secret", metavar="TEXT", help="its secret (default: LOGOPS_SECRET, else of the keys file)")
    parser.add_argument("--secret-file", metavar="FILE", help="read the secret from a file")
    add_stamps(parser)
    add_json(parser)
    parser.add_argument("--curl", action="store_true", help="print a curl command that sends the request")
    example(
        parser,
        """
logops sign POST http://127.0.0.1:8081/ingest '[{"msg":"hello"}]'
logops sign POST http://127.0.0.1:8081/ingest '[{"msg":"hello"}]' --curl | sh
logops sign POST /ingest '{}' --ts-offset -3600       # refused: clock_skew
logops sign POST /ingest '{}' --secret wrong-secret   # refused: bad_signature
""",
    )


def add_stamps(parser: argparse.ArgumentParser) -> None:
    """The options of time and nonce, which can misuse on purpose."""
    parser.add_argument("--ts", metavar="T", help="X-Timestamp as it is to be sent (default: now, epoch seconds)")
    parser.add_argument("--ts-offset", metavar="S", type=int, default=0, help="seconds added to now")
    parser.add_argument("--nonce", metavar="N", nargs="?", const=None, help="X-Nonce (default: random; '' sends none)")


def run(args: argparse.Namespace) -> int:
    """Print the headers."""
    key, secret = credentials(args)
    body = read_body(args)
    headers = headers_of(args, key, secret, body or b"")
    if args.curl:
        print(_curl(args, headers))
    elif args.json:
        print_json({"method": args.method, "url": args.url, "headers": dict(headers)})
    else:
        print("\n".join(f"{name}: {value}" for name, value in headers))
    return 0


def headers_of(args: argparse.Namespace, key: str, secret: bytes, body: bytes) -> list[tuple[str, str]]:
    """The signed headers of the options METHOD, URL, --ts, --ts-offset and --nonce."""
    timestamp = args.ts if args.ts is not None else str(int(time.time()) + args.ts_offset)
    nonce = args.nonce if args.nonce is not None else secrets.token_hex(16)
    signed = signed_headers(
        key,
        SigningKey(secret),
        os.fsencode(args.method),
        target_of(args.url),
        body,
        timestamp=os.fsencode(timestamp),
        nonce=os.fsencode(nonce),
    )
    return [(os.fsdecode(name), os.fsdecode(value)) for name, value in signed]


def credentials(args: argparse.Namespace) -> tuple[str, bytes]:
    """Client and secret: of the options, else of the environment, else of the keys file. Raises ConfigError."""
    given = ClientEnvironment.of(os.environ)
    key = args.key or given.api_key
    secret = os.fsencode(args.secret or "")
    if not secret and args.secret_file:
        secret = Path(args.secret_file).read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    # a name given here is not the name that the environment's secret belongs to
    if not secret and (not args.key or args.key == given.api_key):
        secret = os.fsencode(given.secret)
    if key and secret:
        return key, secret
    path = Path(load_settings(args, quiet=True).settings.auth.keys_file)
    clients = Keyring.load(path).clients
    if not key:
        if len(clients) != 1 and DEMO_CLIENT not in clients:
            raise ConfigError(f"{path} has {len(clients)} clients; say which with --key")
        key = next(iter(clients)) if len(clients) == 1 else DEMO_CLIENT
    if secret:
        return key, secret
    if key not in clients:
        raise ConfigError(f"{path} has no client {key}; give its secret with --secret-file or LOGOPS_SECRET")
    return key, clients[key].secrets[0]


def _curl(args: argparse.Namespace, headers: list[tuple[str, str]]) -> str:
    # --path-as-is and --globoff: the target goes out exactly as it was signed
    words = ["curl", "-sS", "--path-as-is", "--globoff", "-X", args.method]
    for name, value in headers:
        words += ["-H", f"{name}: {value}"]
    if args.body_file is not None:
        words += ["-H", "Content-Type: application/json", "--data-binary", f"@{args.body_file}"]
    elif args.body is not None:
        # --data-raw: a body that starts with @ is no file
        words += ["-H", "Content-Type: application/json", "--data-raw", args.body]
    return shlex.join([*words, "--", args.url])
