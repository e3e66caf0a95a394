"""Failed authentications, and who is slowed down for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from logops_fast.state.interface import NonceVerdict
from tests.authgw.doors import TOKEN, Door, Sending, headers_of


def test_guesses_from_one_address_are_slowed_down_and_a_right_signature_from_there_passes(door: Door) -> None:
    seen = [door.post(secret=f"guess-{number}").verdict for number in range(6)]
    assert seen == [(401, "bad_signature")] * 3 + [(429, "auth_failures")] * 3
    assert door.post(key="nobody").verdict == (429, "auth_failures")
    assert door.post().deliver().verdict == (200, "")
    assert door.post(peer="10.0.0.2", secret="guess").verdict == (401, "bad_signature")


def test_what_guesses_nothing_is_no_failed_authentication(door: Door) -> None:
    """Above all, 100 requests signed before a first start, which are refused as replays, do not lock an address."""
    used = headers_of()
    door.post(headers=used).deliver()
    harmless: dict[str, Callable[[], Sending]] = {
        "missing_headers": lambda: door.post(headers={}),
        "bad_timestamp": lambda: door.post(timestamp="now"),
        "bad_nonce": lambda: door.post(nonce="short"),
        "clock_skew": lambda: door.post(timestamp="5"),
        "replay": lambda: door.post(headers=used),
        "bad_content_sha256": lambda: door.post(signed_body=b"other").deliver(),
        "emitter_not_allowed": lambda: door.post(extra={"X-Emitter": "boss"}),
    }
    for reason, send in harmless.items():
        assert {send().verdict[1] for _ in range(100)} == {reason}
    door.nonces.verdict = NonceVerdict.FORGOTTEN
    assert {door.post().verdict for _ in range(100)} == {(401, "replay")}
    door.nonces.verdict = None
    assert door.post(secret="one guess").verdict == (401, "bad_signature")
    assert not [key for key, _ in door.buckets.taken if key.startswith(b"peer")][1:]


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("mode", ["api_key", "any"])
def test_a_token_can_be_guessed_so_a_blocked_address_stays_blocked_for_it(mode: str) -> None:
    door = Door(mode)
    for number in range(3):
        assert door.post(headers={"X-Api-Key": f"guess-{number}"}).verdict == (401, "unknown_client")
    assert door.post(headers=bearer()).verdict == (429, "auth_failures")
    if mode == "any":
        assert door.post().deliver().verdict == (200, "")
    assert door.post(headers=bearer(), peer="10.0.0.9").deliver().verdict == (200, "")


@pytest.mark.parametrize("name", ["web-1", "app-2"])
def test_wrong_tokens_under_a_client_s_name_do_not_shut_it_out(name: str) -> None:
    door = Door("any")
    for number in range(30):
        sent = door.post(headers={"X-Api-Key": f"{name}:guess-{number}"}, peer=f"10.0.{number}.1")
        assert sent.verdict == (401, "unknown_client")
    for headers in ({"X-Api-Key": f"web-1:{TOKEN}"}, bearer()):
        assert door.post(headers=headers, peer="10.0.99.1").deliver().verdict == (200, "")


def test_names_that_tokens_are_sent_for_take_no_place_among_the_blocked() -> None:
    door = Door("api_key", failures=1)
    for number in range(50):
        door.post(headers={"X-Api-Key": f"name-{number}:guess"}, peer=f"10.1.0.{number % 5}")
    assert {key for key, _ in door.buckets.taken} == {b"peer\0" + b"10.1.0.%d" % number for number in range(5)}


@pytest.mark.parametrize("mode", ["hmac", "api_key", "any"])
def test_a_401_says_which_schemes_there_are_where_tokens_are_accepted(mode: str) -> None:
    door = Door(mode)
    for sent in (door.post(headers={}), door.post(headers={"X-Api-Key": "a-guess"})):
        assert sent.verdict[0] == 401
        schemes = [value.split()[0] for name, value in sent.response.headers if name == b"www-authenticate"]
        assert schemes == ([] if mode == "hmac" else [b"Bearer", b"Basic"])
    assert door.post(declared=10_001).header(b"www-authenticate") is None


def test_an_unknown_client_is_counted_like_a_known_one() -> None:
    """Otherwise the work after a wrong token would say which names there are."""
    door = Door("api_key")
    for name in ("web-1", "nobody"):
        before = len(door.buckets.taken)
        door.post(headers={"X-Api-Key": f"{name}:guess"}, peer=f"2001:db8:{len(name)}::1")
        assert len(door.buckets.taken) == before + 1


@pytest.mark.parametrize("token", [TOKEN, "a-wrong-token"])
def test_a_token_that_others_could_read_is_refused_before_it_is_looked_at(token: str) -> None:
    door = Door("any", failures=1)
    for _ in range(3):
        assert door.post(headers=bearer(token), private=False).verdict == (403, "tls_required")
    assert door.post(private=False).deliver().verdict == (200, "")
