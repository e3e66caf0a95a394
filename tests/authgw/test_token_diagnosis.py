from __future__ import annotations

from base64 import b64encode
from typing import Any

from logops_fast.authgw.diagnosis import Signed
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.authgw.token_diagnosis import carries_token, diagnose_token
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.tokens import hashed, token_of
from logops_fast.http.refusal import Refusal
from tests.support.signing import signed
from tests.support.tables import each_of

TOKEN = "kX2vQ9bT7mLs4RzW8nYp3c"
PADDED = "aB3dE5fG7hI9jK1lM3nO5pQ="
HELD = "zY9xW7vU5tS3rQ1pO9nM7l"
RING = Keyring.of(
    [
        Client("web-1", (b"secret-of-web-1",), "web", frozenset({"web"}), 1, (token_of(TOKEN.encode()),)),
        Client("app-2", (), "app", frozenset({"app"}), 1, (token_of(PADDED.encode()),)),
        Client(
            "held", (b"held-secret",), "web", frozenset({"web"}), 1, (token_of(HELD.encode()),), frozenset({"hmac"})
        ),
    ]
)


def request(headers: dict[str, str]) -> Signed:
    return Signed(b"POST", b"/ingest", {name.lower().encode(): value.encode() for name, value in headers.items()}, None)


def wrong(headers: dict[str, str], **options: Any) -> dict[str, str]:
    every: dict[str, Any] = {"mode": "any", "secrets_as_keys": False, "allow_plaintext": False, **options}
    found = diagnose_token(request(headers), RING, **every)
    return {finding.part: finding.detail for finding in found if finding.ok is False}


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


@each_of(
    "headers",
    [
        {"X-Api-Key": TOKEN},
        {"X-Api-Key": f"web-1:{TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer {PADDED}"},
        basic(f"web-1:{TOKEN}"),
    ],
)
def test_a_right_token_has_nothing_wrong(headers: dict[str, str]) -> None:
    assert wrong(headers) == {}
    assert wrong(headers, allow_plaintext=True) == {}


@each_of(
    ("headers", "expected"),
    [
        ({}, {"header": "neither X-Api-Key nor Authorization was sent"}),
        ({"X-Api-Key": "web-1:"}, {"header": "X-Api-Key has no token after the colon"}),
        ({"Authorization": "Bearer"}, {"header": "Authorization: Bearer has no token after it"}),
        ({"Authorization": f"Token {TOKEN}"}, {"header": "the scheme of Authorization must be Bearer or Basic"}),
        (
            {"Authorization": f"Basic web-1:{TOKEN}"},
            {"header": "what follows Authorization: Basic must be in base64"},
        ),
        (basic(TOKEN), {"header": "what follows Authorization: Basic is not base64 of CLIENT:TOKEN"}),
        (
            {"X-Api-Key": "secret-of-web-1"},
            {"token": "is a signing secret of client web-1, which is not a token"},
        ),
        (
            {"X-Api-Key": hashed(TOKEN).removeprefix("sha256:")},
            {"token": "is the hash of a token of client web-1: send the token itself"},
        ),
        ({"X-Api-Key": f'"{TOKEN}"'}, {"token": "is a token of client web-1, in quotes"}),
        ({"X-Api-Key": PADDED[:-1] + "%3D"}, {"token": "is a token of client app-2, percent-encoded"}),
        (
            {"X-Api-Key": PADDED[:-1]},
            {"token": "is a token of client app-2, cut at its padding, the = at its end"},
        ),
        ({"X-Api-Key": "Bearer " + TOKEN}, {"token": "is a token of client web-1, with Bearer before it"}),
        ({"X-Api-Key": HELD}, {"token": "is a token of client held, which is held to modes: [hmac]"}),
        ({"X-Api-Key": TOKEN[:-1] + "d"}, {"token": "is no token of the keys file; one has at least 128 bits"}),
        (
            {"X-Api-Key": f"nobody:{TOKEN}"},
            {"client": "the name before the token is no client of the keys file"},
        ),
        (
            {"X-Api-Key": f"app-2:{TOKEN}"},
            {"client": "the token was sent for another client than its own, web-1"},
        ),
    ],
)
def test_each_mistake_is_named_and_refused_by_the_gateway(headers: dict[str, str], expected: dict[str, str]) -> None:
    assert wrong(headers) == expected
    auth = TokenAuth(RING, mode="api_key")
    sent = request(headers).headers
    credential = auth.credential(sent)
    assert credential is not None
    assert isinstance(auth.verify(credential, sent, private=True), Refusal)
    assert TOKEN not in str(wrong(headers))


def test_a_mode_without_tokens_is_the_mistake() -> None:
    found = wrong({"Authorization": f"Bearer {TOKEN}"}, mode="hmac")
    assert found == {"mode": "auth.mode is hmac, which accepts no tokens: set it to any or api_key, or sign"}


def test_secrets_are_tokens_where_the_configuration_says_so() -> None:
    assert wrong({"X-Api-Key": "secret-of-web-1"}, secrets_as_keys=True) == {}


def test_a_digest_beside_a_token_is_checked() -> None:
    assert wrong({"X-Api-Key": TOKEN, "X-Content-SHA256": "abc"}) == {
        "digest": "X-Content-SHA256 must be 64 hexadecimal digits"
    }


@each_of(
    ("headers", "modes"),
    [
        (signed("web-1", "secret-of-web-1", b""), {"api_key"}),
        ({"X-Api-Key": TOKEN}, {"api_key", "any"}),
        ({"Authorization": f"Bearer {TOKEN}"}, {"api_key", "any", "hmac"}),
        ({}, {"api_key"}),
    ],
)
def test_a_request_is_judged_by_its_token_if_the_gateway_would(headers: dict[str, str], modes: set[str]) -> None:
    every: tuple[Any, ...] = ("hmac", "api_key", "any", "none")
    assert {mode for mode in every if carries_token(request(headers), mode)} == modes
