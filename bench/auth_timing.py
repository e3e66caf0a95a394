"""Whether the time of a refusal tells a known client or token from an unknown one: ``python -m bench.auth_timing``.

Calls are made in turn, so that whatever else the machine does affects all alike. AUC is the chance that a call of the
first kind took longer than one of the second: 0.5 if they are indistinguishable. What must hold is asserted by counting
(``tests/authgw/test_hmac_auth.py``: as many HMACs for each request); this shows what is left.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from logops_fast.authgw.hmac_auth import HmacAuth
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.tokens import token_of
from logops_fast.formats.signature import SigningKey, signed_headers

TOKEN = b"kX2vQ9bT7mLs4RzW8nYp3c"
CLIENTS = [
    Client("web-1", (b"secret-of-web-1", b"older-secret-of-web-1"), "web", frozenset({"web"})),
    Client("app-2", (b"secret-of-app-2",), "app", frozenset({"app"}), 1, (token_of(TOKEN),)),
]


def in_turn(calls: list[Callable[[], object]], rounds: int) -> list[list[int]]:
    """Nanoseconds of each call in each round."""
    taken: list[list[int]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - start)
    return taken


def auc(a: list[int], b: list[int]) -> float:
    """The chance that one of ``a`` took longer than one of ``b``."""
    ranked = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    below, wins = 0, 0
    for _, which in ranked:
        if which:
            below += 1
        else:
            wins += below
    return wins / (len(a) * len(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    args = parser.parse_args()
    auth = HmacAuth(Keyring.of(CLIENTS), mode="hmac", tolerance=300, require_nonce=True, wall=time.time)

    def attempt(key: str) -> Callable[[], object]:
        fields = signed_headers(
            key, SigningKey(b"wrong"), b"POST", b"/ingest", b"{}", timestamp=b"%d" % time.time(), nonce=b"nonce-0001"
        )
        headers = {name.lower(): value for name, value in fields}
        return lambda: auth.verify("POST", b"/ingest", headers)

    two, one, unknown, again = in_turn([attempt(key) for key in ("web-1", "app-2", "who-1", "who-2")], args.rounds)
    print(f"median ns: two secrets {median(two):.0f}, one {median(one):.0f}, unknown {median(unknown):.0f}")
    print(f"AUC known/unknown {auc(one, unknown):.3f}, two/one secrets {auc(two, one):.3f}, ", end="")
    print(f"unknown/unknown {auc(unknown, again):.3f}")

    tokens = TokenAuth(Keyring.of(CLIENTS), mode="api_key")

    def token(text: bytes) -> Callable[[], object]:
        headers = {b"x-api-key": text}

        def call() -> object:
            credential = tokens.credential(headers)
            return credential and tokens.verify(credential, headers, private=True)

        return call

    wrong = b"A" + TOKEN[1:]
    known, stranger, another = in_turn(
        [token(name + b":" + wrong) for name in (b"app-2", b"who-1", b"who-2")], args.rounds
    )
    (right,) = in_turn([token(b"app-2:" + TOKEN)], args.rounds)
    print(f"median ns of a token: right {median(right):.0f}, wrong {median(known):.0f}")
    print(f"AUC known/unknown client {auc(known, stranger):.3f}, unknown/unknown {auc(stranger, another):.3f}")


if __name__ == "__main__":
    main()
