from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.config.errors import ConfigError
from logops_fast.config.loader import config_path, flat, load, mask_url, shown_value
from logops_fast.config.schema import leaves
from logops_fast.config.sections.limits import Bucket
from logops_fast.config.settings import Settings, worker_count
from tests.support.tables import each_of


def settle(tmp_path: Path, text: str, env: dict[str, str] | None = None, **flags: Any) -> Any:
    path = tmp_path / "logops.yaml"
    path.write_text(text)
    return load(path, env or {}, flags)


def refused(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settle(tmp_path, text)
    return caught.value


def test_the_defaults_are_those_of_the_contract() -> None:
    loaded = load(None, {}, {})
    builtin = msgspec.to_builtins(loaded.settings)
    assert loaded.settings == Settings()
    assert builtin["auth"]["mode"] == "hmac"
    assert builtin["auth"]["clock_tolerance"] == 300
    assert builtin["auth"]["keys_file"] == "data/keys.yaml"
    assert builtin["ratelimit"] == {
        "unit": "events",
        "per_emitter": {"capacity": 1_000_000, "refill_per_sec": 500_000},
        "overrides": {},
    }
    assert builtin["backpressure"] == {
        "max_body_bytes": 16_777_216,
        "max_items": 100_000,
        "max_event_bytes": 262_144,
    }
    assert builtin["forward"] == {
        "url": "http://127.0.0.1:8080/v1/logs",
        "connect_timeout": 2,
        "read_timeout": 8,
        "deadline": 10,
        "max_attempts": 3,
        "base_delay": 0.1,
        "max_delay": 1.5,
    }
    assert builtin["parse"] == {"timezone": "UTC", "overrides": {}, "multiline": []}
    assert builtin["normalise"] == {"ts_fields": [], "level_fields": [], "msg_fields": [], "app_fields": []}
    assert builtin["breaker"] == {
        "failure_threshold": 0.2,
        "window": 30,
        "min_calls": 20,
        "open_for": 20,
        "half_open_probes": 3,
    }
    assert builtin["sink"] == {"enabled": True, "dir": "data/ingest", "durability": "fsync"}
    assert builtin["housekeeping"] == {
        "autorun": True,
        "interval": 3600,
        "retention_days": 7,
        "archive": "delete",
        "archive_dir": "data/archive",
        "wait_for_shipper": False,
        "max_total_bytes": 0,
    }
    assert builtin["tls"] == {"cert_file": "", "key_file": "", "client_ca_file": ""}
    assert builtin["console"] == {"host": "127.0.0.1", "port": 8092, "allow_hosts": [], "runs_dir": "data/runs"}
    assert builtin["logging"] == {"level": "info", "format": "auto"}
    assert set(loaded.provenance.values()) == {"default"}
    assert loaded.warnings == ()


def test_every_setting_is_described_in_a_sentence() -> None:
    for path, leaf in leaves():
        assert leaf.description.endswith("."), path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ratelimit: {per_emitter: {capacity: many}}",
            'ratelimit.per_emitter.capacity: expected an integer >= 1, got "many"',
        ),
        ("ratelimit: {per_emitter: {capacity: 0}}", "ratelimit.per_emitter.capacity: expected an integer >= 1, got 0"),
        (
            "ratelimit: {per_emitter: {capacity: 1.5}}",
            "ratelimit.per_emitter.capacity: expected an integer >= 1, got 1.5",
        ),
        (
            "ratelimit: {per_emitter: {capacity: true}}",
            "ratelimit.per_emitter.capacity: expected an integer >= 1, got true",
        ),
        (
            "ratelimit: {per_emitter: {refill_per_sec: 0}}",
            "ratelimit.per_emitter.refill_per_sec: expected a number > 0, got 0",
        ),
        ("ratelimit: {per_emiter: {}}", "ratelimit.per_emiter: unknown key; did you mean per_emitter?"),
        ("ratelimit: {overrides: {web: {burst: 1}}}", "ratelimit.overrides.web.burst: unknown key"),
        (
            "parse: {timezone: Berlin}",
            'parse.timezone: expected a time zone of the IANA database, such as Europe/Berlin, got "Berlin" '
            "(if the system has no tzdata: pip install tzdata)",
        ),
        (
            "parse: {overrides: {web: {timezone: ../etc/passwd}}}",
            "parse.overrides.web.timezone: expected a time zone of the IANA database, such as Europe/Berlin, got "
            '"../etc/passwd" (if the system has no tzdata: pip install tzdata)',
        ),
        (
            "parse: {overrides: {'a b': {timezone: UTC}}}",
            "parse.overrides: expected the name of an emitter (1 to 64 characters of A-Z a-z 0-9 . _ -)",
        ),
        ("parse: {overrides: {web: {zone: UTC}}}", "parse.overrides.web.zone: unknown key; did you mean timezone?"),
        (
            "ratelimit: {overrides: {'a b': {capacity: 1}}}",
            "ratelimit.overrides: expected the name of an emitter (1 to 64 characters of A-Z a-z 0-9 . _ -)",
        ),
        (
            "syslog: {tcp: nowhere, enabled: true}",
            'syslog.tcp: expected an address and a port such as 0.0.0.0:5514, got "nowhere"',
        ),
        (
            "syslog: {udp: ':70000', enabled: true}",
            'syslog.udp: expected an address and a port such as 0.0.0.0:5514, got ":70000"',
        ),
        ("syslog: {tls: ':6514', enabled: true}", "syslog.tls: needs tls.cert_file and tls.key_file"),
        (
            "syslog: {tcp: '', enabled: true}",
            "syslog.enabled: is true and syslog.tcp, syslog.udp and syslog.tls are all empty: name an address",
        ),
        (
            "syslog: {allow: [10.0.0.1/8], enabled: true}",
            "syslog.allow: expected networks such as 10.0.0.0/8, got '10.0.0.1/8'",
        ),
        (
            "syslog: {emitters: {10.0.0.1/8: web}, enabled: true}",
            "syslog.emitters.10.0.0.1/8: expected a network such as 10.0.0.0/8, or a name of a certificate",
        ),
        (
            "syslog: {emitters: {10.0.0.0/8: 'a b'}, enabled: true}",
            "syslog.emitters.10.0.0.0/8: expected the name of an emitter (1 to 64 characters of A-Z a-z 0-9 . _ -), "
            'got "a b"',
        ),
        ("syslog: {emitters: {10.0.0.0/8: 1}}", "syslog.emitters.10.0.0.0/8: expected text that is not empty, got 1"),
        ("sever: {}", "sever: unknown key; did you mean server?"),
        ("zzz: 1", "zzz: unknown key"),
        ("server: 4", "server: expected a mapping, got 4"),
        ("server: {workers: 0}", "server.workers: expected an integer from 1 to 1023 or auto, got 0"),
        ("server: {workers: many}", 'server.workers: expected an integer from 1 to 1023 or auto, got "many"'),
        ("server: {drain_timeout: .inf}", "server.drain_timeout: expected a number >= 0, got Infinity"),
        ("server: {drain_timeout: .nan}", "server.drain_timeout: expected a number >= 0, got NaN"),
        pytest.param(
            f"server: {{drain_timeout: 1{'0' * 400}}}",
            f"server.drain_timeout: expected a number >= 0, got 1{'0' * 59}...",
            id="an integer past every float",
        ),
        pytest.param(
            f"server: {{drain_timeout: 0x{'f' * 5000}}}",
            "server.drain_timeout: expected a number >= 0, got a number that is too long",
            id="an integer too long to be written",
        ),
        ("server: {drain_timeout: -1}", "server.drain_timeout: expected a number >= 0, got -1"),
        ("server: {drain_timeout: }", "server.drain_timeout: expected a number >= 0, got nothing"),
        ("server: {drain_timeout: 2024-01-01}", 'server.drain_timeout: expected a number >= 0, got "2024-01-01"'),
        ("authgw: {port: 65536}", "authgw.port: expected an integer from 0 to 65535, got 65536"),
        ("authgw: {host: ''}", 'authgw.host: expected text that is not empty, got ""'),
        ("auth: {audience: a b}", 'auth.audience: expected text of at most 256 visible ASCII characters, got "a b"'),
        ("auth: {mode: hamc}", 'auth.mode: expected one of any, api_key, hmac, none, got "hamc"'),
        pytest.param(
            f"auth: {{audience: {'a' * 257}}}",
            f'auth.audience: expected text of at most 256 visible ASCII characters, got "{"a" * 59}...',
            id="a text that is too long",
        ),
        ("auth: {mode: false}", "auth.mode: expected one of any, api_key, hmac, none, got false"),
        ("auth: {mode: [hmac]}", "auth.mode: expected one of any, api_key, hmac, none, got a list"),
        ("auth: {require_nonce: 1}", "auth.require_nonce: expected true or false, got 1"),
        ("auth: {keys_file: 123}", "auth.keys_file: expected text that is not empty, got 123"),
        ("auth: {keys_file: {a: 1}}", "auth.keys_file: expected text that is not empty, got a mapping"),
        ("breaker: {failure_threshold: 1.1}", "breaker.failure_threshold: expected a number > 0 and <= 1, got 1.1"),
        ("pii: {fields: msg}", 'pii.fields: expected a list of texts, got "msg"'),
        ("pii: {fields: [1]}", "pii.fields: expected a list of texts, got a list"),
        ("sink: {durability: sync}", 'sink.durability: expected one of fsync, written, got "sync"'),
        ("- a", "expected a mapping, got a list"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    assert str(refused(tmp_path, text)) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "state: {backend: memory}\nserver: {workers: 4}",
            "state.backend: memory serves one worker and server.workers is 4; use shared or redis",
        ),
        (
            "state: {backend: redis, redis_url: 'http://x'}",
            "state.redis_url: expected a URL that starts with redis://, rediss:// or unix://",
        ),
        ("authgw: {port: 8080}", "authgw.port: 8080 is ingest.port too; each gateway needs a port of its own"),
        (
            "pii: {encrypt: true, fernet_keys_file: ''}",
            "pii.encrypt: needs a Fernet key; set pii.fernet_keys_file or pii.fernet_key",
        ),
        (
            "pii: {encrypt: true, encrypt_fields: []}",
            "pii.encrypt_fields: is empty, so pii.encrypt would encrypt nothing; name the fields",
        ),
        ("tls: {cert_file: c.pem}", "tls.key_file: is needed with tls.cert_file"),
        ("tls: {key_file: k.pem}", "tls.cert_file: is needed with tls.key_file"),
        (
            "tls: {client_ca_file: ca.pem}",
            "tls.client_ca_file: needs tls.cert_file and tls.key_file: client certificates need TLS",
        ),
        (
            "server: {trusted_proxies: [10.0.0.0/8, 10.0.0.1/8]}",
            "server.trusted_proxies: expected networks such as 10.0.0.0/8, got '10.0.0.1/8'",
        ),
        ("forward: {base_delay: 2}", "forward.base_delay: 2 is more than forward.max_delay, 1.5"),
        ("forward: {connect_timeout: 20}", "forward.connect_timeout: 20 is more than forward.deadline, 10"),
        ("forward: {url: 'ftp://x/'}", "forward.url: expected a URL such as http://127.0.0.1:8080/v1/logs"),
        ("forward: {url: 'http://x:99999/'}", "forward.url: expected a URL such as http://127.0.0.1:8080/v1/logs"),
        (
            "backpressure: {max_body_bytes: 268435457}",
            "backpressure.max_body_bytes: is more than server.max_inflight_bytes: the largest batch could never pass",
        ),
        (
            "housekeeping: {archive: zip, archive_dir: ''}",
            "housekeeping.archive_dir: is needed with housekeeping.archive: zip",
        ),
    ],
)
def test_values_that_cannot_be_together_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert str(refused(tmp_path, text)) == message


def test_an_error_says_file_and_line(tmp_path: Path) -> None:
    error = refused(tmp_path, "server:\n  workers: 1\nratelimit:\n  per_emitter:\n    capacity: many\n")
    assert error.located == (
        f'{tmp_path}/logops.yaml:5: ratelimit.per_emitter.capacity: expected an integer >= 1, got "many"'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sink: {}\nauth: {}\nsink: {}\n", "sink: given twice, on lines 1 and 3"),
        ("auth:\n  mode: any\n  mode: none\n", "auth.mode: given twice, on lines 2 and 3"),
        ("? [a]\n: 1\n", "{path}: a key must be text"),
    ],
)
def test_yaml_that_would_be_read_two_ways_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert str(refused(tmp_path, text)) == message.replace("{path}", str(tmp_path / "logops.yaml"))


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "\t", "a: *nowhere", "a: !!python/object:os.system x", "a: 2024-99-99"]
)
def test_broken_yaml_is_one_readable_line(tmp_path: Path, text: str) -> None:
    message = str(refused(tmp_path, text))
    assert "is not valid YAML" in message
    assert "\n" not in message


def test_an_alias_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert "nested too deeply" in str(refused(tmp_path, "server: &a {x: *a}"))


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml", {}, {})
    (tmp_path / "latin").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "latin", {}, {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\n  # workers: 4\n", "\ufeffserver: {}\n"])
def test_an_empty_file_or_section_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert settle(tmp_path, text).settings == Settings()


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    text = "server: {workers: 2, drain_timeout: 3, max_connections: 4}\n"
    env = {"LOGOPS_SERVER__WORKERS": "5", "LOGOPS_SERVER__DRAIN_TIMEOUT": "6"}
    path = tmp_path / "logops.yaml"
    path.write_text(text)
    loaded = load(path, env, {"server.workers": 7, "server.drain_timeout": None})
    server = loaded.settings.server
    assert (server.workers, server.drain_timeout, server.max_connections, server.header_fields) == (7, 6.0, 4, 64)
    assert [
        loaded.provenance[f"server.{key}"] for key in ("workers", "drain_timeout", "max_connections", "header_fields")
    ] == [
        "flag",
        "env LOGOPS_SERVER__DRAIN_TIMEOUT",
        f"file {path}:1",
        "default",
    ]


def test_every_value_has_a_source(tmp_path: Path) -> None:
    loaded = settle(tmp_path, "ratelimit: {overrides: {web: {capacity: 3}}}")
    assert set(loaded.provenance) == set(flat(loaded.settings))


def test_overrides_inherit_what_they_leave_out(tmp_path: Path) -> None:
    text = "ratelimit: {per_emitter: {refill_per_sec: 9}, overrides: {Web.1: {capacity: 5}}}"
    loaded = settle(tmp_path, text)
    assert loaded.settings.ratelimit.overrides == {"Web.1": Bucket(5, 9.0)}
    assert settle(tmp_path, "ratelimit: {overrides: {}}").settings.ratelimit.overrides == {}
    assert settle(tmp_path, "ratelimit: {unit: requests}").settings.ratelimit.overrides == {}


def test_a_flag_of_the_wrong_kind_is_refused_in_the_same_words() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, {"authgw.port": 70_000})
    assert caught.value.located == "command line: authgw.port: expected an integer from 0 to 65535, got 70000"


def test_both_ports_may_be_free_ones() -> None:
    assert load(None, {}, {"authgw.port": 0, "ingest.port": 0}).settings.authgw.port == 0


def test_open_doors_are_warned_of(tmp_path: Path) -> None:
    text = "auth: {mode: none}\nauthgw: {host: 0.0.0.0}\npii: {mask: false}\n"
    assert [warning.split(":")[0] for warning in settle(tmp_path, text).warnings] == [
        "auth.mode is none and the gateway listens on 0.0.0.0",
        "pii.mask is false",
    ]
    assert settle(tmp_path, "auth: {mode: none}").warnings == ()
    assert "replayed" in settle(tmp_path, "auth: {require_nonce: false}").warnings[0]


def test_a_value_that_is_a_secret_is_never_in_an_error(tmp_path: Path) -> None:
    assert str(refused(tmp_path, "pii: {fernet_key: [hunter2]}")) == "pii.fernet_key: expected text"
    assert str(refused(tmp_path, "state: {redis_url: {hunter2: 1}}")) == "state.redis_url: expected text"


@each_of(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:hunter2@h:1/0", "redis://:***@h:1/0"),
        ("rediss://user:hunter2@h/0", "rediss://user:***@h/0"),
        ("redis://user:hun/ter2@h/0", "redis://user:***@h/0"),
        ("redis://user:hun@ter2@h/0", "redis://user:***@h/0"),
        ("unix:///run/redis.sock?db=0&password=hunter2", "unix:///run/redis.sock?db=0&password=***"),
    ],
)
def test_the_password_of_a_url_is_not_shown(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert shown_value("state.redis_url", url) == shown


def test_a_key_given_inline_is_not_shown() -> None:
    assert shown_value("pii.fernet_key", "a" * 44) == "***"
    assert shown_value("pii.fernet_key", "") == ""
    assert shown_value("sink.dir", "data") == "data"


def test_the_file_is_the_one_given_else_the_one_in_the_directory_else_none(tmp_path: Path) -> None:
    assert config_path("x.yaml", tmp_path) == Path("x.yaml")
    assert config_path(None, tmp_path) is None
    (tmp_path / "logops.yaml").write_text("")
    assert config_path(None, tmp_path) == tmp_path / "logops.yaml"


def test_auto_workers_are_the_cores_at_hand(tmp_path: Path) -> None:
    assert worker_count(settle(tmp_path, "server: {workers: auto}").settings) >= 1
    assert worker_count(settle(tmp_path, "server: {workers: 3}").settings) == 3


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@given(st.data())
def test_any_value_is_taken_or_refused_in_one_line(data: st.DataObject) -> None:
    path, _ = data.draw(st.sampled_from(list(leaves())))
    try:
        settings = load(None, {}, {".".join(path): data.draw(VALUES)}).settings
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both ends are fine
    else:
        assert load(None, {}, flat(settings)).settings == settings


def test_an_emitter_may_have_a_time_zone_of_its_own(tmp_path: Path) -> None:
    text = "parse: {timezone: Europe/Berlin, overrides: {Web.1: {timezone: Asia/Tokyo}}}"
    parse = settle(tmp_path, text).settings.parse
    assert parse.timezone == "Europe/Berlin"
    assert {emitter: own.timezone for emitter, own in parse.overrides.items()} == {"Web.1": "Asia/Tokyo"}


def test_the_emitters_of_syslog_have_networks_and_names_as_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("syslog: {emitters: {10.1.0.0/16: routers, edge-1.example.net: edge}}")
    loaded = load(path, {}, {})
    assert loaded.settings.syslog.emitters == {"10.1.0.0/16": "routers", "edge-1.example.net": "edge"}
    shown = flat(loaded.settings)
    assert shown_value("syslog.emitters.10.1.0.0/16", shown["syslog.emitters.10.1.0.0/16"]) == "routers"
