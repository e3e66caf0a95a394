"""The kernel signs and hashes as the reference does: `make test-native` runs these."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.signature import SigningKey, digest_of

pytestmark = pytest.mark.native


def kernel() -> Any:
    return import_module("logops_kernel")


@given(st.binary(max_size=200), st.binary(max_size=400))
def test_the_same_signatures(secret: bytes, message: bytes) -> None:
    key = kernel().SigningKey(secret)
    assert key.signature(message) == SigningKey(secret).signature(message)
    assert key.signature(message + b"x") == SigningKey(secret).signature(message + b"x")  # nothing is left of the first


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 127, 128, 129])
def test_secrets_and_messages_about_a_block_long(size: int) -> None:
    for other in (0, 55, 56, 64, 119, 120, 128):
        secret, message = b"s" * size, b"m" * other
        assert kernel().SigningKey(secret).signature(message) == SigningKey(secret).signature(message)


@given(st.binary(max_size=1000))
def test_the_same_digests(body: bytes) -> None:
    assert kernel().sha256_hex(body) == digest_of(body)


def test_a_body_of_many_blocks() -> None:
    body = bytes(range(256)) * 300
    assert kernel().sha256_hex(body) == digest_of(body)
