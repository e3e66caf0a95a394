from __future__ import annotations

import hashlib
import secrets
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.config.tokens import MAX_LENGTH, MIN_BITS, Token, TokenError, bits_of, hashed, new_token, token_of
from tests.support.tables import each_of


def test_a_new_token_is_long_enough_and_its_hash_finds_it() -> None:
    token = new_token()
    assert bits_of(token.encode()) >= 256
    assert token_of(token.encode()) == token_of(hashed(token).encode())
    assert token_of(token.encode()).digest == hashlib.sha256(token.encode()).digest()
    assert token_of(b"sha256:" + hashed(token)[7:].upper().encode()) == token_of(token.encode())


@each_of(
    ("alphabet", "least"),
    [
        (string.digits, 39),
        ("0123456789abcdef", 32),
        ("abcdefghijklmnopqrstuvwxyz234567", 26),
        (string.ascii_lowercase + string.digits, 25),
        (string.ascii_letters + string.digits + "-_", 22),
    ],
)
def test_a_random_text_of_128_bits_is_a_token_and_a_shorter_one_is_none(alphabet: str, least: int) -> None:
    def text(length: int) -> bytes:
        # every letter of the alphabet in turn, so that no draw looks like a smaller alphabet
        return "".join(alphabet[-1 - i % len(alphabet)] for i in range(length)).encode()

    assert bits_of(text(least)) >= MIN_BITS > bits_of(text(least - 1))
    assert token_of(text(least)).text == text(least)
    with pytest.raises(TokenError, match="less than 128 bits"):
        token_of(text(least - 1))


@each_of(
    "text",
    [
        "hunter2", "a" * 64, "ab" * 40, "0" * 200, str(uuid.UUID(int=2**127 - 12345)), "password-password-p",
        "x" * (MAX_LENGTH + 1), "has a blank in the middle of it", "has:a:colon:in:the:middle:of", "ümlaut" * 8,
        "line\nend-of-the-token-0123456789", "sha256:abcd", "sha256:" + "g" * 64, "sha256:" + "0" * 63,
    ],
)  # fmt: skip
def test_what_can_be_guessed_or_not_be_sent_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(TokenError) as refused:
        token_of(text.encode())
    assert text not in str(refused.value)


@given(st.binary(max_size=80))
def test_nothing_but_token_error_is_raised(text: bytes) -> None:
    try:
        token = token_of(text)
    except TokenError:
        return
    assert len(token.digest) == 32
    assert repr(token) == "Token()"


def test_two_tokens_are_equal_by_their_hash() -> None:
    text = secrets.token_urlsafe(32).encode()
    assert token_of(text) == Token(hashlib.sha256(text).digest())
