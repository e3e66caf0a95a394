from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.hmac_auth import HmacAuth, Verified, parse_timestamp
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.formats.signature import Signer, SigningKey, sign
from logops_fast.http.refusal import Refusal
from tests.support.signing import V2_FIELDS, signed, signed_v2
from tests.support.tables import each_of
from tests.support.values import values

NOW = 1735689600.0  # 2025-01-01T00:00:00Z
SECRET, OLD, OTHER = "s3cr3t-now", "s3cr3t-before", "another-secret"
WEB = Client("web-1", (SECRET.encode(), OLD.encode()), "web", frozenset({"web", "batch"}))
APP = Client("app-1", (OTHER.encode(),), "app", frozenset({"app"}))
RING = Keyring.of([WEB, APP])
VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data/signature_vectors.json").read_text("utf-8")
)

Headers = dict[bytes, bytes]


def make(
    mode: Literal["hmac", "api_key", "any", "none"] = "hmac",
    *,
    require_nonce: bool = True,
    now: float = NOW,
    signer: Callable[[bytes], Signer] = SigningKey,
) -> HmacAuth:
    return HmacAuth(RING, mode=mode, tolerance=300, require_nonce=require_nonce, wall=lambda: now, signer=signer)


def head(secret: str = SECRET, key: str = "web-1", **parts: Any) -> Headers:
    parts = {"timestamp": str(int(NOW)), "nonce": "nonce-0001", **parts}
    return {name.lower().encode(): value.encode() for name, value in signed(key, secret, b"{}", **parts).items()}


def verify(headers: Headers, auth: HmacAuth | None = None) -> Verified | Refusal:
    return (auth or make()).verify("POST", b"/ingest", headers)


def reason(headers: Headers, auth: HmacAuth | None = None) -> str:
    answer = verify(headers, auth)
    assert isinstance(answer, Refusal), answer
    assert answer.status == 401
    return answer.reason


def test_a_signed_request_is_verified_with_what_later_checks_need() -> None:
    headers = head()
    assert values(verify(headers)) == values(Verified(WEB, b"nonce-0001", NOW, headers[b"x-content-sha256"]))


@each_of("vector", VECTORS, ids=[v["name"] for v in VECTORS])
def test_the_signature_vectors_are_accepted(vector: dict[str, Any]) -> None:
    ring = Keyring.of([Client("v", (vector["secret"].encode(),), "v", frozenset("v"))])
    audience = vector.get("audience", "")
    auth = HmacAuth(ring, mode="hmac", tolerance=300, require_nonce=False, wall=lambda: NOW, audience=audience)
    headers = {
        b"x-api-key": b"v",
        b"x-timestamp": vector["timestamp"].encode(),
        b"x-nonce": vector["nonce"].encode(),
        b"x-content-sha256": vector["content_sha256"].encode(),
        b"x-signature": vector["signature"].encode(),
        **{name.lower().encode(): value.encode() for name, value in vector.get("fields", {}).items()},
    }
    if "version" in vector:
        headers[b"x-signature-version"] = str(vector["version"]).encode()
    assert isinstance(auth.verify(vector["method"], vector["target"].encode(), headers), Verified)


def head_v2(fields: dict[str, str], *, audience: str = "", secret: str = SECRET, key: str = "web-1") -> Headers:
    stamped = signed_v2(key, secret, b"{}", fields, timestamp=str(int(NOW)), nonce="nonce-0001", audience=audience)
    return {name.lower().encode(): value.encode() for name, value in {**fields, **stamped}.items()}


@each_of("name", V2_FIELDS)
def test_each_field_of_version_2_is_under_the_signature(name: str) -> None:
    assert isinstance(verify(head_v2({name: "mine"})), Verified)
    assert reason(head_v2({name: "mine"}) | {name.lower().encode(): b"theirs"}) == "bad_signature"
    without = head_v2({name: "mine"})
    del without[name.lower().encode()]
    assert reason(without) == "bad_signature"
    assert reason(head_v2({}) | {name.lower().encode(): b"theirs"}) == "bad_signature"


def test_a_request_of_one_version_is_none_of_the_other() -> None:
    headers = head_v2({"Content-Type": "text/csv"})
    del headers[b"x-signature-version"]
    assert reason(headers) == "bad_signature"
    assert reason(head() | {b"x-signature-version": b"2"}) == "bad_signature"
    assert isinstance(verify(head() | {b"x-signature-version": b"1"}), Verified)


@each_of("version", [b"", b"0", b"3", b"02", b"two", b"1, 2"])
def test_a_version_that_is_none_is_refused(version: bytes) -> None:
    assert reason(head() | {b"x-signature-version": version}) == "bad_signature_version"


def test_version_2_is_signed_for_one_audience() -> None:
    auth = HmacAuth(RING, mode="hmac", tolerance=300, require_nonce=True, wall=lambda: NOW, audience="here")
    assert isinstance(verify(head_v2({}, audience="here"), auth), Verified)
    assert reason(head_v2({}, audience="there"), auth) == "bad_signature"
    assert reason(head_v2({}), auth) == "bad_signature"
    assert isinstance(verify(head(), auth), Verified)


def test_a_client_held_to_version_2_gets_in_by_nothing_else() -> None:
    ring = Keyring.of([Client("web-1", (SECRET.encode(),), "web", frozenset({"web"}), 2)])
    auth = HmacAuth(ring, mode="hmac", tolerance=300, require_nonce=True, wall=lambda: NOW)
    assert isinstance(verify(head_v2({}), auth), Verified)
    assert reason(head(), auth) == "bad_signature_version"
    assert reason(head("wrong"), auth) == "bad_signature", "a stranger does not learn what it is held to"


def test_version_2_refuses_the_scenario_that_it_does_not_cover() -> None:
    answer = verify(head_v2({"X-Scenario": "mine"}))
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.reason) == (400, "bad_scenario_id")


def test_each_of_two_secrets_is_good_while_one_is_rotated() -> None:
    assert isinstance(verify(head(SECRET)), Verified)
    assert isinstance(verify(head(OLD)), Verified)
    assert reason(head(OTHER)) == "bad_signature"
    assert isinstance(verify(head(OTHER, key="app-1")), Verified)


def test_an_upper_case_digest_is_signed_in_lower_case() -> None:
    headers = head()
    headers[b"x-content-sha256"] = headers[b"x-content-sha256"].upper()
    answer = verify(headers)
    assert isinstance(answer, Verified)
    assert answer.content_sha256 == headers[b"x-content-sha256"].lower()


@each_of("name", ["X-Api-Key", "X-Timestamp", "X-Nonce", "X-Content-SHA256", "X-Signature"])
@each_of("value", [None, b""])
def test_a_missing_or_empty_header_is_named(name: str, value: bytes | None) -> None:
    headers = head()
    del headers[name.lower().encode()]
    if value is not None:
        headers[name.lower().encode()] = value
    answer = verify(headers)
    assert answer == Refusal(401, "missing_headers", f"{name} is missing or empty; a request must be signed.")


def test_all_missing_headers_are_named_at_once() -> None:
    answer = verify({})
    assert isinstance(answer, Refusal)
    assert answer.detail == (
        "X-Api-Key, X-Timestamp, X-Content-SHA256, X-Signature, X-Nonce are missing or empty; a request must be signed."
    )


@each_of(
    ("value", "seconds"),
    [
        (b"1735689600", NOW),
        (b"0", 0.0),
        (b"000001735689", 1735689.0),
        (b"999999999999", 999_999_999_999.0),
        (b"2025-01-01T00:00:00Z", NOW),
        (b"2025-01-01T00:00:00.25Z", NOW + 0.25),
        (b"2025-01-01T00:00:00.123456789Z", NOW + 0.123456),
        (b"2025-01-01T02:00:00+02:00", NOW),
        (b"2025-01-01T02:00:00+0200", NOW),
        (b"2024-12-31T19:00:00-05:00", NOW),
        (b"0001-01-01T00:00:00+00:00", -62135596800.0),
        (b"0001-01-01T00:00:00+23:59", -62135596800.0 - 86340),
        (b"9999-12-31T23:59:59-23:59", 253402300799.0 + 86340),
    ],
)
def test_a_timestamp_is_iso_8601_with_a_zone_or_whole_epoch_seconds(value: bytes, seconds: float) -> None:
    assert parse_timestamp(value) == pytest.approx(seconds, abs=1e-6)


@each_of(
    "value",
    [
        b"1735689600000", b"-1735689600", b"+1735689600", b"1735689600.5", b"1_735_689_600", b" 1735689600", b"1e9",
        b"0x10", b"\xd9\xa1\xd9\xa2", "\uff11\uff12".encode(), b"nan", b"inf", b"now", b"Z",
        b"2025-01-01", b"2025-01-01T00:00:00", b"2025-01-01T00:00Z", b"2025-01-01 00:00:00Z", b"2025-01-01t00:00:00z",
        b"2025-W01-1T00:00:00Z", b"20250101T000000Z", b"2025-01-01T00:00:00,5Z", b"2025-01-01T00:00:00.Z",
        b"2025-01-01T00:00:00.1234567890Z", b"2025-02-30T00:00:00Z", b"2025-13-01T00:00:00Z", b"2025-00-10T00:00:00Z",
        b"2025-01-01T24:00:00Z", b"2025-01-01T23:59:60Z", b"2025-01-01T00:60:00Z", b"0000-01-01T00:00:00Z",
        b"2025-01-01T00:00:00+24:00", b"2025-01-01T00:00:00+02", b"2025-01-01T00:00:00+02:00:30",
        b"2025-01-01T00:00:00Z\n", b"2025-01-01T00:00:00 Z", "\uff12025-01-01T00:00:00Z".encode(),
        b"10000-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_other_timestamps_are_refused(value: bytes) -> None:
    assert parse_timestamp(value) is None
    assert reason(head() | {b"x-timestamp": value}) == "bad_timestamp"


@pytest.mark.parametrize("nonce", [b"a" * 8, b"a" * 128, b"AZaz09._~-"])
def test_a_nonce_of_the_right_form_is_taken(nonce: bytes) -> None:
    answer = verify(head(nonce=nonce.decode()))
    assert isinstance(answer, Verified)
    assert answer.nonce == nonce


@each_of(
    "nonce", [b"a" * 7, b"a" * 129, b"with space", b"with/slash", b"nul\0nul\0nul", b"\xc5\xbcyrafaaa", b"new\nline-1"]
)
def test_a_nonce_of_another_form_is_refused(nonce: bytes) -> None:
    assert reason(head() | {b"x-nonce": nonce}) == "bad_nonce"
    assert reason(head() | {b"x-nonce": nonce}, make(require_nonce=False)) == "bad_nonce"


@each_of("digest", [b"a" * 63, b"a" * 65, b"g" * 64, b" " + b"a" * 63, b"0x" + b"a" * 62, b"\xff" * 64])
def test_a_digest_of_another_form_is_refused(digest: bytes) -> None:
    assert reason(head() | {b"x-content-sha256": digest}) == "bad_content_sha256"
    assert reason({b"x-content-sha256": digest}, make("none")) == "bad_content_sha256"


@each_of("key", [b"web-2", b"WEB-1", b"web-1 ", b"\xff", b"demo\0"])
def test_an_unknown_client_is_refused_whatever_it_signs_with(key: bytes) -> None:
    assert reason(head() | {b"x-api-key": key}) == "unknown_client"


class CountedKey:
    """A signing key that counts its uses."""

    used = 0

    def __init__(self, secret: bytes) -> None:
        self.key = SigningKey(secret)

    def signature(self, message: bytes) -> bytes:
        CountedKey.used += 1
        return self.key.signature(message)


def test_everybody_costs_the_same_number_of_signatures() -> None:
    auth = make(signer=CountedKey)
    requests = {
        "first secret": head(SECRET),
        "second secret": head(OLD),
        "client with one secret": head(OTHER, key="app-1"),
        "unknown client": head(key="nobody"),
        "wrong secret": head("wrong-secret"),
        "short signature": head() | {b"x-signature": b"x"},
        "clock": head(timestamp="5"),
        "version 2": head_v2({"X-Batch-Id": "b"}),
        "version 2, unknown client": head_v2({"X-Batch-Id": "b"}, key="nobody"),
    }
    cost = {}
    for name, headers in requests.items():
        CountedKey.used = 0
        verify(headers, auth)
        cost[name] = CountedKey.used
    assert cost == dict.fromkeys(requests, 2)


@pytest.mark.parametrize(
    ("stamp", "detail"),
    [
        (NOW - 412, "X-Timestamp is 412 s behind the gateway's clock; at most 300 s is allowed: check NTP."),
        (NOW + 301, "X-Timestamp is 301 s ahead of the gateway's clock; at most 300 s is allowed: check NTP."),
    ],
)
def test_a_clock_that_is_off_is_refused_with_by_how_much(stamp: float, detail: str) -> None:
    assert verify(head(timestamp=str(int(stamp)))) == Refusal(401, "clock_skew", detail)


@pytest.mark.parametrize("stamp", [NOW - 300, NOW, NOW + 300])
def test_a_clock_at_the_very_tolerance_is_right(stamp: float) -> None:
    assert isinstance(verify(head(timestamp=str(int(stamp)))), Verified)


@pytest.mark.parametrize("stamp", ["999999999999", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_a_time_far_away_is_a_clock_that_is_off(stamp: str) -> None:
    assert reason(head(timestamp=stamp)) == "clock_skew"


def test_the_first_check_that_fails_in_the_order_of_the_contract_is_answered() -> None:
    headers = {
        b"x-api-key": b"nobody",
        b"x-timestamp": b"yesterday",
        b"x-nonce": b"!",
        b"x-content-sha256": b"?",
    }
    seen = [reason(headers)]
    for name, value in [
        (b"x-signature", b"nonsense"),
        (b"x-timestamp", b"5"),
        (b"x-nonce", b"nonce-0001"),
        (b"x-content-sha256", b"0" * 64),
        (b"x-api-key", b"web-1"),
        (b"x-timestamp", b"1735689600"),
    ]:
        headers[name] = value
        seen.append(reason(headers))
    assert seen == [
        "missing_headers",
        "bad_timestamp",
        "bad_nonce",
        "bad_content_sha256",
        "unknown_client",
        "clock_skew",
        "bad_signature",
    ]


def without_padding(signature: bytes) -> bytes:
    return signature.rstrip(b"=")


def another_last_letter(signature: bytes) -> bytes:
    """The same 32 bytes to a decoder that does not look at the two bits left over."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return signature[:-2] + alphabet[alphabet.index(signature[-2]) ^ 1 :][:1] + b"="


@each_of(
    "change",
    [
        without_padding,
        another_last_letter,
        bytes.hex,
        lambda s: s + b"=",
        lambda s: s + b"\n",
        lambda s: b" " + s,
        lambda s: s[:20] + b"\n" + s[20:],
        lambda s: s.swapcase(),
        lambda s: b"\xff" * 44,
        lambda s: b"x" * 10_000,
    ],
)
def test_only_one_text_is_the_signature(change: Any) -> None:
    headers = head()
    changed = change(headers[b"x-signature"])
    headers[b"x-signature"] = changed if isinstance(changed, bytes) else changed.encode()
    assert reason(headers) == "bad_signature"


def test_method_and_target_are_signed() -> None:
    auth, headers = make(), head()
    for method, target in [("PUT", b"/ingest"), ("post", b"/ingest"), ("POST", b"/v1/logs"), ("POST", b"/ingest?a=1")]:
        answer = auth.verify(method, target, headers)
        assert isinstance(answer, Refusal)
        assert answer.reason == "bad_signature"


def test_a_line_end_cannot_move_from_one_signed_part_to_the_next() -> None:
    """POST + "/ingest\\nX" and "POST\\n/ingest" + X are one canonical string: the target may hold no line end."""
    headers = head(target="/ingest\n" + "0" * 64)
    assert reason(headers) == "bad_signature"


def test_without_a_nonce_a_request_passes_where_none_is_required() -> None:
    answer = verify(head(nonce=""), make(require_nonce=False))
    assert isinstance(answer, Verified)
    assert answer.nonce is None
    assert reason(head(nonce="")) == "missing_headers"


def test_a_nonce_that_was_signed_cannot_be_left_out() -> None:
    headers = head()
    del headers[b"x-nonce"]
    assert reason(headers, make(require_nonce=False)) == "bad_signature"


def test_a_reload_takes_effect_at_once() -> None:
    auth = make()
    auth.replace_keyring(Keyring.of([Client("web-1", (b"brand-new-secret",), "web", frozenset({"web"}))]))
    assert reason(head(SECRET), auth) == "bad_signature"
    assert isinstance(verify(head("brand-new-secret"), auth), Verified)
    auth.replace_keyring(Keyring.of([]))
    assert reason(head("brand-new-secret"), auth) == "unknown_client"


def test_a_client_that_is_held_to_tokens_or_has_no_secret_cannot_sign() -> None:
    held = dataclasses.replace(WEB, modes=frozenset({"api_key"}))
    auth = HmacAuth(Keyring.of([held, APP]), mode="hmac", tolerance=300, require_nonce=True, wall=lambda: NOW)
    assert reason(head(), auth) == "unknown_client"
    auth.replace_keyring(Keyring.of([dataclasses.replace(WEB, secrets=())]))
    assert reason(head(), auth) == "unknown_client"


def test_half_a_set_of_headers_does_not_pass_in_any_mode() -> None:
    auth = make("any")
    assert isinstance(verify(head(), auth), Verified)
    assert reason(head(OTHER), auth) == "bad_signature"
    for header in (b"x-timestamp", b"x-nonce", b"x-signature"):
        assert reason({b"x-api-key": SECRET.encode(), header: head()[header]}, auth) == "missing_headers"


def test_in_hmac_mode_a_token_is_not_enough_and_the_refusal_says_where_it_is() -> None:
    assert reason({b"x-api-key": SECRET.encode()}) == "missing_headers"
    answer = verify({b"authorization": b"Bearer t"})
    assert isinstance(answer, Refusal)
    assert "the modes api_key and any" in answer.detail


def test_in_mode_none_everybody_is_anonymous() -> None:
    answer = verify({}, make("none"))
    assert isinstance(answer, Verified)
    assert (answer.client.id, answer.client.emitter, answer.client.secrets) == ("anonymous", "unknown", ())


@each_of(
    ("wanted", "emitter"),
    [(None, "web"), (b"", "web"), (b"web", "web"), (b"batch", "batch"), (b"app", None), (b"\xff", None)],
)
def test_a_client_may_name_the_emitters_of_its_list(wanted: bytes | None, emitter: str | None) -> None:
    answer = make().choose_emitter(WEB, wanted)
    if emitter is None:
        assert answer == Refusal(
            403, "emitter_not_allowed", "X-Emitter must be one of this client's emitters: batch, web."
        )
    else:
        assert answer == emitter


def test_an_anonymous_sender_may_name_known_emitters_and_is_unknown_otherwise() -> None:
    auth = HmacAuth(
        RING, mode="none", tolerance=300, require_nonce=True, wall=lambda: NOW, anonymous_emitters=frozenset({"web"})
    )
    answer = verify({}, auth)
    assert isinstance(answer, Verified)
    assert [auth.choose_emitter(answer.client, name) for name in (None, b"web", b"mine")] == [
        "unknown",
        "web",
        "unknown",
    ]


NAMES = [b"x-api-key", b"x-timestamp", b"x-nonce", b"x-content-sha256", b"x-signature"]
GOOD = head()
HEADER_VALUES = (
    st.binary(max_size=140)
    | st.sampled_from(sorted(GOOD.values()))
    | st.text("0123456789TZ:-+.", max_size=30).map(str.encode)
)


@given(
    st.sampled_from(["hmac", "api_key", "any", "none"]),
    st.text(max_size=8),
    st.binary(max_size=20),
    st.dictionaries(st.sampled_from(NAMES), HEADER_VALUES),
    st.booleans(),
)
def test_no_header_raises_and_none_that_is_not_signed_passes(
    mode: Any, method: str, target: bytes, headers: Headers, require_nonce: bool
) -> None:
    auth = make(mode, require_nonce=require_nonce)
    answer = auth.verify(method, target, headers)
    if isinstance(answer, Refusal):
        assert answer.status == 401
        assert answer.detail.isascii()
        assert answer.detail.isprintable()
    elif mode == "hmac":
        assert (method, target) == ("POST", b"/ingest")
        assert headers == GOOD


@given(st.sampled_from([*NAMES, b"method", b"target"]), st.integers(0, 200), st.integers(1, 255))
def test_a_request_changed_in_any_bit_of_what_is_signed_is_refused(part: bytes, at: int, flip: int) -> None:
    request = dict(GOOD) | {b"method": b"POST", b"target": b"/ingest"}
    value = bytearray(request[part])
    value[at % len(value)] ^= flip
    if part == b"x-content-sha256" and bytes(value).lower() == GOOD[part]:
        return  # the same digest in upper case
    request[part] = bytes(value)
    method, target = request.pop(b"method").decode("latin-1"), request.pop(b"target")
    assert isinstance(make().verify(method, target, request), Refusal)


@given(st.binary(min_size=1, max_size=100), st.binary(min_size=1, max_size=100))
def test_a_secret_opens_for_its_client_alone(mine: bytes, theirs: bytes) -> None:
    ring = Keyring.of([Client("a", (mine,), "a", frozenset("a"))])
    auth = HmacAuth(ring, mode="hmac", tolerance=300, require_nonce=False, wall=lambda: NOW)
    parts = (b"POST", b"/ingest", b"0" * 64, b"1735689600", b"")
    headers = {b"x-api-key": b"a", b"x-timestamp": parts[3], b"x-content-sha256": parts[2]}
    headers[b"x-signature"] = sign(theirs, *parts)
    same = as_hmac_key(mine) == as_hmac_key(theirs)
    assert isinstance(auth.verify("POST", b"/ingest", headers), Verified) is same


def as_hmac_key(secret: bytes) -> bytes:
    """RFC 2104: hashed where longer than a block, filled up with NULs; so some secrets are the same key."""
    return (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).rstrip(b"\0")
