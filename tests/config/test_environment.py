from __future__ import annotations

from typing import Any

import pytest

from logops_fast.config.environment import ClientEnvironment, variable
from logops_fast.config.errors import ConfigError
from logops_fast.config.loader import flat, load
from logops_fast.config.schema import leaves
from logops_fast.config.sections.limits import Bucket
from tests.support.tables import each_of


def settled(path: str, **env: str) -> Any:
    return flat(load(None, env, {}).settings)[path]


@each_of(
    ("name", "text", "path", "value"),
    [
        ("LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY", "500", "ratelimit.per_emitter.capacity", 500),
        ("LOGOPS_SERVER__DRAIN_TIMEOUT", "2.5", "server.drain_timeout", 2.5),
        ("LOGOPS_SERVER__WORKERS", "auto", "server.workers", "auto"),
        ("LOGOPS_SERVER__WORKERS", "3", "server.workers", 3),
        ("LOGOPS_AUTH__KEYS_FILE", "123", "auth.keys_file", "123"),
        ("LOGOPS_AUTH__KEYS_FILE", "[a]", "auth.keys_file", "[a]"),
        ("LOGOPS_AUTH__MODE", "none", "auth.mode", "none"),
        ("LOGOPS_AUTH__REQUIRE_NONCE", "off", "auth.require_nonce", False),
        ("LOGOPS_SINK__ENABLED", "0", "sink.enabled", False),
        ("LOGOPS_PII__FIELDS", "ssn, iban", "pii.fields", ["ssn", "iban"]),
        ("LOGOPS_PII__FIELDS", "[ssn, iban]", "pii.fields", ["ssn", "iban"]),
        ("LOGOPS_PII__FIELDS", "", "pii.fields", []),
        ("LOGOPS_PII__FIELDS", "123", "pii.fields", ["123"]),
        ("LOGOPS_TLS__CERT_FILE", "", "tls.cert_file", ""),
        # the names of v0.4
        ("LOGOPS_SINK_FILE", "true", "sink.enabled", True),
        ("LOGOPS_SINK_FILE", "False", "sink.enabled", False),
        ("LOGOPS_SINK_DIR", "./data/x", "sink.dir", "./data/x"),
        ("LOGOPS_RETENTION_DAYS", "3", "housekeeping.retention_days", 3),
        ("LOGOPS_ARCHIVE_MODE", "zip", "housekeeping.archive", "zip"),
        ("LOGOPS_ARCHIVE_MODE", "DELETE", "housekeeping.archive", "delete"),
        ("LOGOPS_HOUSEKEEP_AUTORUN", "false", "housekeeping.autorun", False),
        ("LOGOPS_HOUSEKEEP_INTERVAL_SEC", "60", "housekeeping.interval", 60),
        ("LOGOPS_HOUSEKEEP_INTERVAL_SEC", "0", "housekeeping.interval", 0),
        ("LOGOPS_ENCRYPT_PII", "true", "pii.encrypt", True),
        ("LOGOPS_SECRET_KEY", "abc=", "pii.fernet_key", "abc="),
        ("LOGOPS_ENCRYPT_FIELDS", "user_email,client_ip", "pii.encrypt_fields", ["user_email", "client_ip"]),
        ("LOGOPS_ENCRYPT_FIELDS", "", "pii.encrypt_fields", ["msg", "user_email", "client_ip"]),
    ],
)
def test_a_variable_sets_its_value(name: str, text: str, path: str, value: Any) -> None:
    assert settled(path, **{name: text}) == value


def test_every_setting_has_a_variable_that_sets_it_to_its_default() -> None:
    defaults = flat(load(None, {}, {}).settings)
    for path, _ in leaves():
        value = defaults[".".join(path)]
        text = ",".join(value) if isinstance(value, list) else str(value)
        assert settled(".".join(path), **{variable(path): text}) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY",
            "many",
            "LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY: ratelimit.per_emitter.capacity: expected an integer >= 1, "
            'got "many"',
        ),
        ("LOGOPS_AUTHGW__PORT", "", 'LOGOPS_AUTHGW__PORT: authgw.port: expected an integer from 0 to 65535, got ""'),
        (
            "LOGOPS_AUTHGW__PORT",
            "yes",
            'LOGOPS_AUTHGW__PORT: authgw.port: expected an integer from 0 to 65535, got "yes"',
        ),
        ("LOGOPS_PII__MASK", "maybe", 'LOGOPS_PII__MASK: pii.mask: expected true or false, got "maybe"'),
        ("LOGOPS_SINK_FILE", "/x/y", 'LOGOPS_SINK_FILE: sink.enabled: expected true or false, got "/x/y"'),
        ("LOGOPS_SEVER__WORKERS", "1", "LOGOPS_SEVER__WORKERS: unknown setting; did you mean LOGOPS_SERVER__WORKERS?"),
        (
            "LOGOPS_SERVER__WORKERS__X",
            "1",
            "LOGOPS_SERVER__WORKERS__X: unknown setting; did you mean LOGOPS_SERVER__WORKERS?",
        ),
        ("LOGOPS___", "1", "LOGOPS___: unknown setting"),
        (
            "LOGOPS_RATELIMIT__OVERRIDES",
            "x",
            "LOGOPS_RATELIMIT__OVERRIDES: names a whole section; set one of its keys, such as "
            "LOGOPS_RATELIMIT__OVERRIDES__WEB__CAPACITY",
        ),
        (
            "LOGOPS_RATELIMIT__PER_EMITTER",
            "x",
            "LOGOPS_RATELIMIT__PER_EMITTER: names a whole section; set one of its keys, such as "
            "LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY",
        ),
    ],
)
def test_a_wrong_variable_is_refused_by_name(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {name: text}, {})
    assert caught.value.located == message


def test_a_secret_given_by_environment_is_not_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"LOGOPS_STATE__REDIS_URL": "hunter2\x00", "LOGOPS_STATE__BACKEND": "redis"}, {})
    assert "hunter2" not in caught.value.located


def test_other_names_are_left_alone() -> None:
    load(None, {"LOGOPS_REQUIRE_SERVICES": "1", "LOGOPS_SECRET": "x", "PATH": "/bin", "XLOGOPS__Y": "1"}, {})


def test_the_full_name_wins_over_the_old_one() -> None:
    loaded = load(None, {"LOGOPS_SINK_DIR": "old", "LOGOPS_SINK__DIR": "new"}, {})
    assert loaded.settings.sink.dir == "new"
    assert loaded.provenance["sink.dir"] == "env LOGOPS_SINK__DIR"
    assert load(None, {"LOGOPS_SINK_DIR": "old"}, {}).provenance["sink.dir"] == "env LOGOPS_SINK_DIR"


def test_an_override_by_environment_adds_to_those_there_are() -> None:
    env = {"LOGOPS_RATELIMIT__OVERRIDES__WEB__CAPACITY": "5", "LOGOPS_RATELIMIT__OVERRIDES__CSV__CAPACITY": "7"}
    loaded = load(None, env, {})
    assert loaded.settings.ratelimit.overrides == {"csv": Bucket(7, 500_000.0), "web": Bucket(5, 500_000.0)}


def test_an_override_by_environment_finds_a_name_in_any_case(tmp_path: Any) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("ratelimit: {overrides: {WebShop: {capacity: 2}}}")
    loaded = load(path, {"LOGOPS_RATELIMIT__OVERRIDES__WEBSHOP__CAPACITY": "5"}, {})
    assert set(loaded.settings.ratelimit.overrides) == {"WebShop"}
    assert loaded.settings.ratelimit.overrides["WebShop"].capacity == 5


def test_the_senders_take_their_names() -> None:
    env = {"ENTRYPOINT_URL": "http://x/", "LOGOPS_API_KEY": "web", "LOGOPS_SECRET": "hunter2", "LOGOPS_TOKEN": "t0ken"}
    client = ClientEnvironment.of(env)
    assert client == ("http://x/", "web", "hunter2", "t0ken")
    assert "hunter2" not in repr(client)
    assert "t0ken" not in repr(client)
    assert ClientEnvironment.of({}) == ("", "", "", "")


@pytest.mark.parametrize("name", ["LOGOPS_\x14__", "LOGOPS_A\nB__C", "LOGOPS_\udcff__X"])
def test_a_name_cannot_break_out_of_the_line_of_its_message(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {name: "1"})
    assert caught.value.located.isprintable()
