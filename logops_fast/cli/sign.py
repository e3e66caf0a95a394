"""``logops sign``: prints the headers of a signed request; wrong ones on purpose, to try the refusals.

Of a gateway that takes tokens alone (``auth.mode: api_key``) it prints those of a request with a token.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from logops_fast.cli.options import add_body, add_json, example, load_settings, read_body
from logops_fast.cli.output import print_json, warn
from logops_fast.config.environment import ClientEnvironment
from logops_fast.config.errors import ConfigError, shown
from logops_fast.config.keys_file import DEMO_CLIENT, Keyring
from logops_fast.emitters.target import Target, missing_keys
from logops_fast.formats.signature import SigningKey, encoded_url, signed_headers, target_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("method", metavar="METHOD", help="POST")
    parser.add_argument("url", metavar="URL", help="the whole URL, or the target alone")
    add_body(parser)
    parser.add_argument("--key", metavar="NAME", help="the client (default: LOGOPS_API_KEY, else of the keys file)")
    add_secret(parser, "its secret (default: LOGOPS_SECRET, else of the keys file)")
    parser.add_argument("--token", metavar="TEXT", help="print the header of a token instead (LOGOPS_TOKEN)")
    add_stamps(parser)
    parser.add_argument(
        "--signature-version", type=int, choices=(1, 2), help="default: what the client is held to, else 1"
    )
    parser.add_argument(
        "-H", "--header", action="append", default=[], metavar="'N: V'",
        help="a further header, which version 2 signs if it is one of those it covers; may be repeated",
    )  # fmt: skip
    parser.add_argument("--audience", metavar="A", help="for version 2 (default: auth.audience)")
    add_json(parser)
    parser.add_argument("--curl", action="store_true", help="print a curl command that sends the request")
    example(
        parser,
        """
logops sign POST http://127.0.0.1:8081/ingest '[{"msg":"hello"}]'
logops sign POST http://127.0.0.1:8081/ingest '[{"msg":"hello"}]' --curl | sh
logops sign POST http://127.0.0.1:8081/ingest '[{}]' --signature-version 2 -H 'X-Batch-Id: b-1' --curl | sh
logops sign POST https://logs.example/ingest '{}' --token "$TOKEN" --curl | sh
logops sign POST /ingest '{}' --ts-offset -3600       # refused: clock_skew
logops sign POST /ingest '{}' --secret wrong-secret   # refused: bad_signature
""",
    )


def read_target(url: str) -> bytes:
    """Return the request target of the argument URL. Raises ConfigError if it is neither a URL nor a target."""
    if not url.startswith(("/", "http://", "https://")):
        raise ConfigError(f"URL: expected http://host[:port]/path, or a target that begins with /, got {shown(url)}")
    return target_of(url)


def add_secret(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--secret``, with ``text`` as its help, and ``--secret-file``."""
    parser.add_argument("--secret", metavar="TEXT", help=text)
    parser.add_argument("--secret-file", metavar="FILE", help="read the secret from a file")


def secret_of(args: argparse.Namespace) -> bytes:
    """Return the secret that the options of ``add_secret`` give, or nothing."""
    secret = os.fsencode(args.secret or "")
    if not secret and args.secret_file:
        secret = Path(args.secret_file).read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    return secret


def add_stamps(parser: argparse.ArgumentParser) -> None:
    """Add the options of time and nonce, which may also be wrong on purpose."""
    parser.add_argument("--ts", metavar="T", help="X-Timestamp as it is to be sent (default: now, epoch seconds)")
    parser.add_argument("--ts-offset", metavar="S", type=int, default=0, help="seconds added to now")
    parser.add_argument("--nonce", metavar="N", nargs="?", const=None, help="X-Nonce (default: random; '' sends none)")


def run(args: argparse.Namespace) -> int:
    """Print the headers."""
    if args.method != args.method.upper():
        warn(f"METHOD is {args.method}: its case counts, and the gateway takes {args.method.upper()}")
    token = _token_of(args)
    headers = [*_fields(args).items(), ("Authorization", f"Bearer {token}")] if token else _signed(args)
    if args.curl:
        print(_curl(args, headers))
    elif args.json:
        print_json({"method": args.method, "url": args.url, "headers": dict(headers)})
    else:
        print("\n".join(f"{name}: {value}" for name, value in headers))
    return 0


def _signed(args: argparse.Namespace) -> list[tuple[str, str]]:
    key, secret = credentials(args)
    body = read_body(args)
    fields = _fields(args)
    version = args.signature_version or _version_of(args, key)
    if version == 2 and "content-type" not in map(str.lower, fields):
        fields["Content-Type"] = "application/json"
    return [*fields.items(), *headers_of(args, key, secret, body or b"", fields if version == 2 else None)]


def _token_of(args: argparse.Namespace) -> str:
    """Return the token to send; empty if the request is to be signed. Raises ConfigError."""
    if args.token or args.secret or args.secret_file:
        return args.token or ""
    auth = load_settings(args, quiet=True).settings.auth
    given = ClientEnvironment.of(os.environ)
    if auth.mode != "api_key" and (not given.token or given.secret):
        return ""
    env = {name: value for name, value in os.environ.items() if name != "ENTRYPOINT_URL"}
    target = Target.resolve(key=args.key, env=env, keys_file=Path(auth.keys_file), auth=auth)
    return os.fsdecode(target.token)


def headers_of(
    args: argparse.Namespace, key: str, secret: bytes, body: bytes, fields: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Return the signed headers for the options METHOD, URL, --ts, --ts-offset and --nonce.

    With ``fields``, the request's other headers, by version 2.
    """
    audience = ""
    if fields is not None:
        audience = load_settings(args, quiet=True).settings.auth.audience if args.audience is None else args.audience
    timestamp = args.ts if args.ts is not None else str(int(time.time()) + args.ts_offset)
    nonce = args.nonce if args.nonce is not None else secrets.token_hex(16)
    signed = signed_headers(
        key,
        SigningKey(secret),
        os.fsencode(args.method),
        read_target(args.url),
        body,
        timestamp=os.fsencode(timestamp),
        nonce=os.fsencode(nonce),
        fields=None if fields is None else {name.lower().encode(): os.fsencode(v) for name, v in fields.items()},
        audience=os.fsencode(audience),
    )
    return [(os.fsdecode(name), os.fsdecode(value)) for name, value in signed]


def credentials(args: argparse.Namespace) -> tuple[str, bytes]:
    """Return client and secret: from the options, else the environment, else the keys file. Raises ConfigError."""
    given = ClientEnvironment.of(os.environ)
    key = args.key or given.api_key
    secret = secret_of(args)
    # a name given here is not the name that the environment's secret belongs to
    if not secret and (not args.key or args.key == given.api_key):
        secret = os.fsencode(given.secret)
    if key and secret:
        return key, secret
    path = Path(load_settings(args, quiet=True).settings.auth.keys_file)
    if not path.exists():
        raise ConfigError(missing_keys(path))
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


def _fields(args: argparse.Namespace) -> dict[str, str]:
    fields = {}
    for line in args.header:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ConfigError("a header must be written as Name: value")
        fields[name.strip()] = value.strip()
    return fields


def _version_of(args: argparse.Namespace, key: str) -> int:
    """Return the version that the client is held to, if this machine has the keys file."""
    path = Path(load_settings(args, quiet=True).settings.auth.keys_file)
    if not path.exists() or not os.access(path, os.R_OK):
        return 1
    client = Keyring.load(path).clients.get(key)
    return 1 if client is None else client.signature_version


def _curl(args: argparse.Namespace, headers: list[tuple[str, str]]) -> str:
    # --path-as-is and --globoff: the target goes out exactly as it was signed
    words = ["curl", "-sS", "--path-as-is", "--globoff", "-X", args.method]
    for name, value in headers:
        words += ["-H", f"{name}: {value}"]
    if (args.body_file is not None or args.body is not None) and "content-type" not in (n.lower() for n, _ in headers):
        words += ["-H", "Content-Type: application/json"]
    if args.body_file is not None:
        words += ["--data-binary", f"@{args.body_file}"]
    elif args.body is not None:
        # --data-raw: a body that starts with @ is no file
        words += ["--data-raw", args.body]
    return shlex.join([*words, "--", encoded_url(args.url)])
