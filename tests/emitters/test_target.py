from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
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
        found = Target.resolve(key=key, secret=secret, env={}, keys_file=keys, audience="eu-1")
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
