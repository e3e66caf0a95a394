from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.hmac_auth import Verified
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.config.keys_file import Client, ClientMode, Keyring
from logops_fast.config.tokens import token_of
from logops_fast.http.refusal import Refusal
from tests.support.tables import each_of
from tests.support.values import values

SECRET = b"s3cr3t-with:a-colon"
TOKEN, OTHER, HASHED = b"kX2vQ9bT7mLs4RzW8nYp3c", b"0123456789abcdef0123456789abcdef", b"tokenOfAnotherClient-42"
HASH = b"sha256:" + hashlib.sha256(HASHED).hexdigest().encode()
WEB = Client("web-1", (SECRET,), "web", frozenset({"web"}), 1, (token_of(TOKEN), token_of(OTHER)))
APP = Client("app-1", (), "app", frozenset({"app"}), 1, (token_of(HASH),))
RING = Keyring.of([WEB, APP])

Headers = dict[bytes, bytes]


def basic(text: bytes) -> Headers:
    return {b"authorization": b"Basic " + b64encode(text)}


def answer(
    headers: Headers, mode: Any = "api_key", *, private: bool = True, ring: Keyring = RING, **options: bool
) -> Verified | Refusal:
    auth = TokenAuth(ring, mode=mode, **options)
    credential = auth.credential(headers)
    assert credential is not None
    return auth.verify(credential, headers, private=private)


def reason(headers: Headers, mode: Any = "api_key", **options: Any) -> tuple[int, str]:
    refusal = answer(headers, mode, **options)
    assert isinstance(refusal, Refusal), refusal
    return refusal.status, refusal.reason


@each_of("mode", ["api_key", "any"])
@each_of(("token", "client"), [(TOKEN, WEB), (OTHER, WEB), (HASHED, APP)], ids=["text", "2", "hash"])
@each_of(
    "ways",
    [
        lambda t, c: {b"x-api-key": t},
        lambda t, c: {b"x-api-key": c + b":" + t},
        lambda t, c: {b"authorization": b"Bearer " + t},
        lambda t, c: {b"authorization": b"bEARER  " + t},
        lambda t, c: basic(c + b":" + t),
        lambda t, c: {b"x-api-key": t, b"authorization": b"Basic of-a-proxy"},
    ],
    ids=["key", "named key", "bearer", "any case", "basic", "key goes first"],
)
def test_the_four_ways_to_send_a_token(mode: str, token: bytes, client: Client, ways: Any) -> None:
    assert values(answer(ways(token, client.id.encode()), mode)) == values(Verified(client, None, None, None))


@each_of(
    "headers",
    [
        {b"x-api-key": b"web-1"},
        {b"x-api-key": b"app-1:" + TOKEN},
        {b"x-api-key": b":web-1:" + TOKEN},
        {b"x-api-key": TOKEN.lower()},
        {b"x-api-key": HASH},
        {b"x-api-key": HASH.removeprefix(b"sha256:")},
        {b"x-api-key": SECRET},
        {b"x-api-key": b"web-1:" + SECRET},
        {b"x-api-key": b"\xff"},
        {b"authorization": b"Bearer web-1:" + TOKEN},
        basic(b"app-1:" + TOKEN),
        basic(b"web-1:" + TOKEN + b"\n"),
        basic(b"web-1:" + SECRET),
    ],
)
def test_nothing_else_is_a_token(headers: Headers) -> None:
    assert reason(headers) == (401, "unknown_client")


@each_of(
    "headers",
    [
        {},
        {b"x-api-key": b""},
        {b"x-api-key": b"web-1:"},
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": TOKEN},
        {b"authorization": b"Digest username=web-1"},
        {b"authorization": b"Basic !" + b64encode(b"web-1:" + TOKEN)},
        basic(TOKEN),
        basic(b":" + TOKEN),
        basic(b"web-1:"),
    ],
)
@each_of("mode", ["api_key", "any"])
def test_what_has_no_token_is_no_guess(headers: Headers, mode: str) -> None:
    assert reason(headers, mode) == (401, "missing_headers")


@each_of(
    ("mode", "headers", "looked_at"),
    [
        ("hmac", {b"x-api-key": TOKEN}, False),
        ("none", {b"authorization": b"Bearer " + TOKEN}, False),
        ("api_key", {b"x-api-key": TOKEN, b"x-signature": b"s"}, True),
        ("any", {b"x-api-key": TOKEN}, True),
        ("any", {b"x-api-key": TOKEN, b"x-signature": b"s"}, False),
        ("any", {b"x-api-key": TOKEN, b"x-timestamp": b"t"}, False),
        ("any", {b"x-api-key": TOKEN, b"x-nonce": b"n"}, False),
        ("any", {}, True),
    ],
)
def test_what_is_signed_has_no_token_but_in_api_key_mode(mode: Any, headers: Headers, looked_at: bool) -> None:
    assert (TokenAuth(RING, mode=mode).credential(headers) is not None) is looked_at


def test_over_plain_http_a_token_is_refused_whether_it_is_right_or_wrong_unless_allowed() -> None:
    for token in (TOKEN, b"wrong"):
        assert reason({b"x-api-key": token}, private=False) == (403, "tls_required")
    assert reason({}, private=False) == (401, "missing_headers")
    assert isinstance(answer({b"x-api-key": TOKEN}, private=False, allow_plaintext=True), Verified)


@pytest.mark.parametrize("named", [False, True])
def test_a_secret_is_a_token_where_the_settings_say_so(named: bool) -> None:
    """Alone in LogOps v0.4's X-Api-Key; its colon is why it must not be split in two."""
    plain = Client("web-1", (b"plain-secret",), "web", frozenset({"web"}))
    key = b"web-1:plain-secret" if named else b"plain-secret"
    found = answer({b"x-api-key": key}, secrets_as_keys=True, ring=Keyring.of([plain]))
    assert values(found) == values(Verified(plain, None, None, None))
    found = answer({b"x-api-key": b"web-1:" + SECRET}, secrets_as_keys=True)
    assert values(found) == values(Verified(WEB, None, None, None))


@pytest.mark.parametrize(("modes", "good"), [({"hmac"}, False), ({"api_key"}, True), ({"hmac", "api_key"}, True)])
def test_a_client_may_be_held_to_signing(modes: set[ClientMode], good: bool) -> None:
    held = Client("web-1", (SECRET,), "web", frozenset({"web"}), 1, (token_of(TOKEN),), frozenset(modes))
    found = answer({b"x-api-key": TOKEN}, "any", ring=Keyring.of([held]), secrets_as_keys=True)
    assert isinstance(found, Verified) is good


def test_a_client_held_to_signature_version_2_gets_in_by_no_token() -> None:
    held = Client("web-1", (SECRET,), "web", frozenset({"web"}), 2, (token_of(TOKEN),))
    assert reason({b"x-api-key": TOKEN}, ring=Keyring.of([held])) == (401, "bad_signature_version")


def test_a_digest_that_is_sent_must_be_the_body_s() -> None:
    found = answer({b"x-api-key": TOKEN, b"x-content-sha256": b"AB" * 32})
    assert isinstance(found, Verified)
    assert found.content_sha256 == b"ab" * 32
    assert reason({b"x-api-key": TOKEN, b"x-content-sha256": b"no"}) == (401, "bad_content_sha256")


def test_a_reload_takes_effect_at_once() -> None:
    auth = TokenAuth(RING, mode="api_key")
    headers = {b"x-api-key": TOKEN}
    auth.replace_keyring(Keyring.of([APP]))
    credential = auth.credential(headers)
    assert credential is not None
    assert isinstance(auth.verify(credential, headers, private=True), Refusal)


@given(
    st.dictionaries(
        st.sampled_from([b"x-api-key", b"authorization"]),
        st.binary(max_size=80)
        | st.sampled_from([b"Basic ", b"Bearer "]).flatmap(lambda scheme: st.binary(max_size=60).map(scheme.__add__))
        | st.binary(max_size=60).map(lambda text: b"Basic " + b64encode(text)),
    ),
    st.sampled_from(["api_key", "any"]),
    st.booleans(),
)
def test_no_header_raises_and_no_refusal_repeats_it(headers: Headers, mode: Any, private: bool) -> None:
    found = answer(headers, mode, private=private)
    assert isinstance(found, Refusal)
    assert found.detail.isascii()
    assert found.detail.isprintable()
