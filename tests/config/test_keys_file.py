from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.config.keys_file import (
    DEMO_EMITTERS,
    Client,
    Keyring,
    dump_clients,
    make_demo_keys,
    write_private,
)
from logops_fast.config.tokens import token_of

TOKEN = "kX2vQ9bT7mLs4RzW8nYp3c"
HASH = "'sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest() + "'"


def ring(tmp_path: Path, text: str, mode: int = 0o600) -> Keyring:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    path.chmod(mode)
    return Keyring.load(path)


def test_a_client_is_read_as_it_is_written(tmp_path: Path) -> None:
    keys = ring(
        tmp_path, "clients:\n  web-1: {secrets: [s3cr3t-now, s3cr3t-before], emitter: web, emitters: [web, batch]}\n"
    )
    assert keys.clients["web-1"] == Client(
        "web-1", (b"s3cr3t-now", b"s3cr3t-before"), "web", frozenset({"web", "batch"})
    )
    assert keys.warnings == ()
    assert keys.emitters() == {"web", "batch"}


def test_a_client_may_name_its_own_emitter_alone_by_default(tmp_path: Path) -> None:
    keys = ring(tmp_path, "clients: {web: {secrets: [aaaaaaaa]}, app: {secrets: [bbbbbbbb], emitter: shop}}")
    assert keys.clients["web"].emitters == {"web"}
    assert keys.clients["app"].emitters == {"shop"}
    assert Keyring.of(keys.clients.values()).clients == keys.clients


def test_a_secret_may_stand_in_a_file_beside_the_keys_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    for name, secret in {"a": b"from-file-a\n", "b": b"from-file-b\r\n", "c": b" two\n\n"}.items():
        (tmp_path / "secrets" / name).write_bytes(secret)
        (tmp_path / "secrets" / name).chmod(0o600)
    text = "clients: {x: {secrets: [{file: secrets/a}, {file: secrets/b}]}, y: {secrets: [{file: secrets/c}]}}"
    keys = ring(tmp_path, text)
    assert keys.clients["x"].secrets == (b"from-file-a", b"from-file-b")
    assert keys.clients["y"].secrets == (b" two\n",)  # one line end is the editor's, the rest is the secret


def test_a_client_may_have_tokens_with_or_without_secrets_and_be_held_to_a_mode(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    keys = ring(
        tmp_path,
        f"clients: {{otel: {{tokens: [{{file: token}}]}}, app: {{secrets: [aaaaaaaa], tokens: ['sha256:{'0' * 64}']}}, "
        "web: {secrets: [bbbbbbbb], modes: [hmac]}}",
    )
    assert keys.clients["otel"].tokens == (token_of(TOKEN.encode()),)
    assert keys.clients["otel"].secrets == ()
    assert keys.clients["app"].tokens[0].digest == bytes(32)
    assert [sorted(client.modes) for client in keys.clients.values()] == [["api_key", "hmac"]] * 2 + [["hmac"]]
    assert keys.warnings == ()
    assert TOKEN not in repr(keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("client: {}", "client: unknown key; did you mean clients?"),
        ("[]", "{keys}: expected a mapping, got a list"),
        ("clients: [a]", "clients: expected a mapping, got a list"),
        ("clients: {a: hunter2}", "clients.a: expected a mapping with secrets or tokens"),
        ("clients: {a: }", "clients.a: expected a mapping with secrets or tokens"),
        ("clients: {a: {secret: [hunter2]}}", "clients.a.secret: unknown key; did you mean secrets?"),
        ("clients: {a: {emitter: web}}", "clients.a.secrets: expected a list of 1 to 2 secrets"),
        ("clients: {a: {secrets: hunter2}}", "clients.a.secrets: expected a list of 1 to 2 secrets"),
        ("clients: {a: {secrets: []}}", "clients.a.secrets: expected a list of 1 to 2 secrets"),
        ("clients: {a: {secrets: [x, y, z]}}", "clients.a.secrets: expected a list of 1 to 2 secrets"),
        ("clients: {a: {tokens: hunter2}}", "clients.a.tokens: expected a list of up to 16 tokens"),
        ("clients: {a: {tokens: []}}", "clients.a.secrets: expected a list of 1 to 2 secrets"),
        (
            "clients: {a: {tokens: [hunter2]}}",
            "clients.a.tokens.0: has less than 128 bits and can be guessed; `logops keys token` makes one",
        ),
        (
            f"clients: {{a: {{tokens: [{TOKEN}]}}, b: {{tokens: [{HASH}]}}}}",
            "clients.b.tokens.0: is the same as one of client a",
        ),
        (
            f"clients: {{a: {{tokens: [{TOKEN}, {HASH}]}}}}",
            "clients.a.tokens.1: is the same as another of its tokens",
        ),
        (
            f"clients: {{a: {{secrets: [{TOKEN}]}}, b: {{tokens: [{HASH}]}}}}",
            "clients.b.tokens: one is a signing secret of client a, which must never be sent; `logops keys token b` "
            "makes a token",
        ),
        ("clients: {a: {secrets: [hunter22], modes: []}}", "clients.a.modes: expected a list of hmac, api_key or both"),
        (
            "clients: {a: {secrets: [hunter22], modes: [any]}}",
            "clients.a.modes: expected a list of hmac, api_key or both",
        ),
        ("", "clients: expected a mapping of client names, got nothing"),
        ("clients: {a: {secrets: ['']}}", "clients.a.secrets.0: is empty"),
        (
            "clients: {a: {secrets: [12345678]}}",
            "clients.a.secrets.0: expected text or {file: path}; put a secret that looks like a number in quotes",
        ),
        ("clients: {a: {secrets: [{path: x}]}}", "clients.a.secrets.0: expected text or {file: path}"),
        ("clients: {a: {secrets: [{file: 1}]}}", "clients.a.secrets.0: expected text or {file: path}"),
        (
            "clients: {a: {secrets: [{file: gone}]}}",
            "clients.a.secrets.0.file: {dir}/gone cannot be read: No such file or directory",
        ),
        (
            "clients: {'a b': {secrets: [hunter22]}}",
            'clients: expected the name of a client (1 to 64 characters of A-Z a-z 0-9 . _ -), got "a b"',
        ),
        (
            "clients: {a: {secrets: [hunter22], emitter: 'x/y'}}",
            'clients.a.emitter: expected the name of an emitter (1 to 64 characters of A-Z a-z 0-9 . _ -), got "x/y"',
        ),
        (
            "clients: {a: {secrets: [hunter22], emitters: web}}",
            "clients.a.emitters: expected a list of names of emitters (1 to 64 characters of A-Z a-z 0-9 . _ -)",
        ),
        ("clients: {a: {secrets: [hunter22, hunter22]}}", "clients.a.secrets.1: is the same as another of its secrets"),
        (
            "clients: {a: {secrets: [hunter22]}, b: {secrets: [hunter22]}}",
            "clients.b.secrets.0: is the same as one of client a",
        ),
        (
            "clients: {a: {secrets: ['b:hunter22']}, b: {secrets: [hunter22]}}",
            "clients.b.secrets.0: is the same as one of client a",
        ),
        (
            "clients: {a: {secrets: [hunter22]}, a: {secrets: [hunter33]}}",
            "clients.a: given twice, on lines 1 and 1",
        ),
    ],
)
def test_a_wrong_keys_file_is_refused_in_one_line_without_its_secrets(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ring(tmp_path, text)
    assert str(caught.value) == message.replace("{keys}", f"{tmp_path}/keys.yaml").replace("{dir}", str(tmp_path))
    assert "hunter" not in caught.value.located


@pytest.mark.parametrize("text", ["clients: {a: {secrets: [hunter2", "clients:\n a: hunter2: x", "hunter2: *x"])
def test_broken_yaml_does_not_show_its_text(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is not valid YAML") as caught:
        ring(tmp_path, text)
    assert "hunter2" not in caught.value.located


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "- hunter2",
        "clients: hunter2",
        "clients: [hunter2]",
        "clients: {a: hunter2}",
        "clients: {a: {secrets: hunter2}}",
        "clients: {a: {secrets: [[hunter2]]}}",
        "clients: {a: {secrets: [{file: [hunter2]}]}}",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ring(tmp_path, text)
    assert "hunter2" not in caught.value.located.removeprefix(str(tmp_path))


@pytest.mark.parametrize("text", ["clients:\n w: {s\n\ny}", "? |\n |\n", '"a\\u001b[2J": 1', 'clients: {"a\\nb": {}}'])
def test_a_key_cannot_break_out_of_the_line_of_its_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ring(tmp_path, text)
    assert caught.value.located.isprintable()


def test_an_error_says_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ring(tmp_path, "clients:\n  a:\n    secrets:\n      - good-secret\n      - ''\n")
    assert caught.value.located == f"{tmp_path}/keys.yaml:5: clients.a.secrets.1: is empty"


def test_a_file_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    keys = ring(tmp_path, "clients: {a: {secrets: [hunter22]}}", mode=0o640)
    assert keys.warnings == (
        f"{tmp_path}/keys.yaml has mode 0640, so others on this machine may read the secrets; "
        f"chmod 600 {tmp_path}/keys.yaml",
    )


def test_a_short_secret_and_a_file_without_clients_are_warned_of(tmp_path: Path) -> None:
    assert (
        "clients.a.secrets.0 is shorter than 8 bytes"
        in ring(tmp_path, "clients: {a: {secrets: [hunter2]}}").warnings[0]
    )
    assert "names no client" in ring(tmp_path, "clients: {}").warnings[0]


def test_neither_client_nor_keyring_shows_a_secret_when_printed(tmp_path: Path) -> None:
    keys = ring(tmp_path, "clients: {a: {secrets: [hunter22]}}")
    assert "hunter22" not in repr(keys)
    assert "hunter22" not in f"{keys.clients['a']}"


def test_demo_keys_are_random_private_and_never_written_over_others(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.yaml"
    client = make_demo_keys(path)
    assert Keyring.load(path).clients == {"demo": client}
    assert Keyring.load(path).warnings == ()
    assert (client.id, client.emitter, client.emitters) == ("demo", "demo", frozenset(DEMO_EMITTERS))
    assert len(client.secrets[0]) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        make_demo_keys(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.yaml"]
    assert make_demo_keys(tmp_path / "other.yaml").secrets != client.secrets


def test_a_file_written_again_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("old")
    path.chmod(0o640)
    write_private(path, dump_clients({"a": {"secrets": ["hunter22"]}}), replace=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert Keyring.load(path).clients["a"].secrets == (b"hunter22",)


@pytest.mark.parametrize(("text", "version"), [("", 1), (", signature_version: 1", 1), (", signature_version: 2", 2)])
def test_a_client_may_be_held_to_a_version_of_the_signature(tmp_path: Path, text: str, version: int) -> None:
    ring = Keyring.parse(f"clients: {{web-1: {{secrets: [s3cr3t-now]{text}}}}}", tmp_path)
    assert ring.clients["web-1"].signature_version == version


@pytest.mark.parametrize("value", ["3", "0", "true", "'2'", "2.0", "[2]", "null"])
def test_a_version_that_is_none_is_refused_with_its_place(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"clients\.web-1\.signature_version: expected 1 or 2, got "):
        Keyring.parse(f"clients: {{web-1: {{secrets: [s3cr3t-now], signature_version: {value}}}}}", tmp_path)
