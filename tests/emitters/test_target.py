from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.config.sections.auth import AuthSettings
from logops_fast.emitters.target import DEFAULT_URL, Target
from tests.support.gateway import write_keys

ENV = {"ENTRYPOINT_URL": "http://gw:9/in", "LOGOPS_API_KEY": "env-key", "LOGOPS_SECRET": "env-secret"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "keys.yaml"
    clients = {"first": {"secrets": ["new-secret", "old-secret"], "emitters": ["a"]}, "next": {"secrets": ["x" * 9]}}
    write_keys(path, clients)
    return path


def test_what_is_given_goes_before_the_environment(keys: Path) -> None:
    found = Target.resolve(url="http://h/x", key="k", secret="s", env=ENV, keys_file=keys)
    assert found == Target("http://h/x", "k", b"s")


def test_the_environment_goes_before_the_keys_file(keys: Path) -> None:
    assert Target.resolve(env=ENV, keys_file=keys) == Target("http://gw:9/in", "env-key", b"env-secret")


def test_the_first_client_of_the_keys_file_is_the_last_resort(keys: Path) -> None:
    found = Target.resolve(env={}, keys_file=keys)
    assert found == Target(DEFAULT_URL, "first", b"new-secret", frozenset({"first", "a"}))


def test_the_audience_is_kept_wherever_the_client_comes_from(keys: Path) -> None:
    for key in ("k", "next"):
        secret = "s" if key == "k" else None
        found = Target.resolve(key=key, secret=secret, env={}, keys_file=keys, auth=AuthSettings(audience="eu-1"))
        assert found.audience == "eu-1"


def test_a_client_named_here_is_not_given_the_environments_secret(keys: Path) -> None:
    assert Target.resolve(key="next", env=ENV, keys_file=keys).secret == b"x" * 9
    with pytest.raises(ConfigError, match="has no client stranger"):
        Target.resolve(key="stranger", env=ENV, keys_file=keys)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start `logops up` in this folder"):
        Target.resolve(env={}, keys_file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="a secret without its client"):
        Target.resolve(secret="s", env={}, keys_file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="expected http://"):
        Target.resolve(url="gw:80", env={}, keys_file=tmp_path / "none.yaml")


def test_a_secret_is_not_shown() -> None:
    assert "hidden" not in repr(Target("http://h/", "k", b"hidden"))
    assert "hidden" not in repr(Target("http://h/", "k", b"", token=b"hidden"))


TOKENS = AuthSettings(mode="api_key")
TEXT, HASHED = "kX2vQ9bT7mLs4RzW8nYp3c", "sha256:" + "0" * 64


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "keys.yaml"
    clients = {
        "both": {"secrets": ["a-secret"], "tokens": [HASHED, TEXT]},
        "hashed": {"secrets": ["b-secret"], "tokens": ["sha256:" + "1" * 64]},
        "alone": {"tokens": [TEXT.lower() + "0123456789"]},
    }
    write_keys(path, clients)
    return path


@pytest.mark.parametrize(
    ("mode", "key", "secret", "token"),
    [
        ("hmac", "both", b"a-secret", b""),
        ("any", "both", b"a-secret", b""),
        ("api_key", "both", b"", TEXT.encode()),
        ("none", "both", b"a-secret", b""),
        ("any", "alone", b"", TEXT.lower().encode() + b"0123456789"),
        ("none", "alone", b"", b""),
    ],
)
def test_the_mode_decides_between_signature_and_token(
    tokens: Path, mode: Any, key: str, secret: bytes, token: bytes
) -> None:
    found = Target.resolve(key=key, env={}, keys_file=tokens, auth=AuthSettings(mode=mode))
    assert (found.secret, found.token) == (secret, token)


def test_a_token_that_is_given_goes_before_the_keys_file(tokens: Path) -> None:
    assert Target.resolve(token="t", env=ENV, keys_file=tokens).token == b"t"
    env = {"LOGOPS_TOKEN": "of-env"}
    assert Target.resolve(env=env, keys_file=tokens).token == b"of-env"
    assert Target.resolve(env=ENV | env, keys_file=tokens, auth=TOKENS).token == b"of-env"
    assert Target.resolve(env=ENV | env, keys_file=tokens).secret == b"env-secret"
    assert Target.resolve(secret="s", key="k", env=env, keys_file=tokens).secret == b"s"


def test_what_a_mode_needs_and_is_missing_is_said(tokens: Path) -> None:
    with pytest.raises(ConfigError, match="has no token of hashed as text"):
        Target.resolve(key="hashed", env={}, keys_file=tokens, auth=TOKENS)
    with pytest.raises(ConfigError, match="client alone cannot sign"):
        Target.resolve(key="alone", env={}, keys_file=tokens)
    as_keys = AuthSettings(mode="api_key", secrets_as_keys=True)
    assert Target.resolve(key="hashed", env={}, keys_file=tokens, auth=as_keys).token == b"b-secret"
    assert Target.resolve(key="k", secret="s", env={}, keys_file=tokens, auth=as_keys).token == b"s"


def test_in_mode_none_nothing_is_needed(tmp_path: Path) -> None:
    found = Target.resolve(env={}, keys_file=tmp_path / "none.yaml", auth=AuthSettings(mode="none"))
    assert (found.key, found.secret, found.token) == ("", b"", b"")
