"""``logops verify``: checks a set of headers as the gateway does, and says which part is wrong and why.

A signature, or a token: which of them, the headers and ``auth.mode`` decide.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from typing import Final

from logops_fast.authgw.diagnosis import Finding, Signed, diagnose
from logops_fast.authgw.hmac_auth import HmacAuth, Verified
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.authgw.token_diagnosis import carries_token, diagnose_token
from logops_fast.cli.options import add_body, add_json, example, load_settings, read_body, standard_input
from logops_fast.cli.output import print_json, print_verdict
from logops_fast.cli.sign import add_secret, read_target, secret_of
from logops_fast.config.environment import ClientEnvironment
from logops_fast.config.errors import ConfigError, did_you_mean
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.sections.auth import AuthSettings
from logops_fast.http.refusal import Refusal

_REQUEST_LINE: Final = re.compile(r"[A-Z]+ \S+ HTTP/\d\.\d")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("method", metavar="METHOD", help="POST")
    parser.add_argument("url", metavar="URL", help="the whole URL, or the target alone")
    add_body(parser)
    parser.add_argument(
        "-H", "--header", action="append", default=[], metavar="'N: V'", help="a header; may be repeated"
    )
    parser.add_argument("--headers", metavar="FILE", help="read headers from a file, a line each; - for standard input")
    parser.add_argument("--key", metavar="NAME", help="the client (default: that of X-Api-Key)")
    add_secret(parser, "its secret (default: of the keys file, else LOGOPS_SECRET)")
    parser.add_argument("--now", metavar="T", type=float, help="judge the clock at this time, epoch seconds")
    add_json(parser)
    example(
        parser,
        """
logops sign POST /ingest '{}' --ts-offset -900 | logops verify POST /ingest '{}' --headers -
ok    timestamp  well formed
...
WRONG clock      X-Timestamp is 900 s behind this clock; 300 s are allowed

A sender without the gateway's keys file gives its own secret:
logops verify POST /ingest '{}' --headers - --secret-file web-1.secret

A token, where auth.mode accepts them:
logops verify POST /ingest '{}' -H 'Authorization: Bearer ...'
""",
    )


def run(args: argparse.Namespace) -> int:
    """Print a finding for each part; return 0 if the gateway would accept the request, else 1."""
    auth = load_settings(args, quiet=True).settings.auth
    request = Signed(os.fsencode(args.method), read_target(args.url), _headers(args), read_body(args))
    keyring = _keyring(args, request, Path(auth.keys_file))
    now = time.time() if args.now is None else args.now
    if carries_token(request, auth.mode):
        findings, verdict = _by_token(request, keyring, auth)
    else:
        findings, verdict = _by_signature(args.method, request, keyring, auth, now)
    wrong_body = any(finding.part == "digest" and finding.ok is False for finding in findings)
    status, answer = 401, "bad_content_sha256" if wrong_body else "accepted"
    if isinstance(verdict, Refusal):
        status, answer = verdict.status, verdict.reason
    if args.json:
        print_json({"answer": answer, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            print_verdict(finding.ok, finding.part, finding.detail)
        print("the gateway would accept it" if answer == "accepted" else f"the gateway would answer {status} {answer}")
    return 0 if answer == "accepted" else 1


def _by_token(request: Signed, keyring: Keyring, auth: AuthSettings) -> tuple[list[Finding], Verified | Refusal]:
    """Return the findings and the gateway's verdict on a request over TLS, or from its own machine."""
    findings = diagnose_token(
        request,
        keyring,
        mode=auth.mode,
        secrets_as_keys=auth.secrets_as_keys,
        allow_plaintext=auth.allow_plaintext_tokens,
    )
    gateway = TokenAuth(keyring, mode=auth.mode, secrets_as_keys=auth.secrets_as_keys)
    credential = gateway.credential(request.headers)
    if credential is not None:
        return findings, gateway.verify(credential, request.headers, private=True)
    strict = HmacAuth(keyring, mode=auth.mode, tolerance=1.0, require_nonce=auth.require_nonce, wall=time.time)
    return findings, strict.verify("POST", request.target, dict(request.headers))


def _by_signature(
    method: str, request: Signed, keyring: Keyring, auth: AuthSettings, now: float
) -> tuple[list[Finding], Verified | Refusal]:
    """Return the findings and the gateway's verdict."""
    findings = diagnose(
        request,
        keyring,
        tolerance=auth.clock_tolerance,
        require_nonce=auth.require_nonce,
        now=now,
        audience=auth.audience,
    )
    gateway = HmacAuth(
        keyring,
        mode="hmac",
        tolerance=auth.clock_tolerance,
        require_nonce=auth.require_nonce,
        wall=lambda: now,
        audience=auth.audience,
    )
    return findings, gateway.verify(method, request.target, dict(request.headers))


def _keyring(args: argparse.Namespace, request: Signed, keys_file: Path) -> Keyring:
    """Return the one client of the options, else those of the keys file, else that of the environment."""
    given = ClientEnvironment.of(os.environ)
    secret = secret_of(args)
    if not secret and not keys_file.exists():
        secret = os.fsencode(given.secret)
    if secret:
        name = args.key or given.api_key or os.fsdecode(request.header("X-Api-Key"))
        return Keyring.of([Client(name, (secret,), name, frozenset((name,)))])
    keyring = Keyring.load(keys_file)
    if args.key is None:
        return keyring
    if args.key not in keyring.clients:
        raise ConfigError(f"{keys_file} has no client {args.key}{did_you_mean(args.key, keyring.clients)}")
    return Keyring.of([keyring.clients[args.key]])


def _headers(args: argparse.Namespace) -> dict[bytes, bytes]:
    lines = list(args.header)
    if args.headers == "-":
        lines += standard_input().read().decode("utf-8", "surrogateescape").splitlines()
    elif args.headers is not None:
        lines += Path(args.headers).read_text("utf-8", "surrogateescape").splitlines()
    headers: dict[bytes, bytes] = {}
    for number, line in enumerate(lines, 1 - len(args.header)):
        if not line.strip() or _REQUEST_LINE.fullmatch(line.strip()):
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            where = f"{args.headers}:{number}" if number > 0 else ""  # the line itself may be a secret
            raise ConfigError("a header must be written as Name: value", where)
        headers[os.fsencode(name.strip().lower())] = os.fsencode(value.strip())
    return headers
