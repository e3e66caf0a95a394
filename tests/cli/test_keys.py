from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

from logops_fast.config.keys_file import Keyring
from logops_fast.config.tokens import token_of
from tests.cli.conftest import Logops


def test_a_client_from_add_to_revoke(logops: Logops, keys: Path) -> None:
    done = logops("keys", "add", "batch-1", "--emitter", "batch", "--emitters", "web, csv")
    secret = done.out.splitlines()[1]
    client = Keyring.load(keys).clients["batch-1"]
    assert client.secrets == (secret.encode(),)
    assert client.emitters == {"batch", "web", "csv"}
    rotated = json.loads(logops("keys", "rotate", "batch-1", "--json").out)
    assert Keyring.load(keys).clients["batch-1"].secrets == (rotated["secret"].encode(), secret.encode())
    assert logops("keys", "revoke", "batch-1", "--old").out == "Only the newest secret of batch-1 is valid now.\n"
    assert logops("keys", "revoke", "batch-1", "--old").out == "batch-1 has one secret; nothing was changed.\n"
    assert logops("keys", "revoke", "batch-1").out == "batch-1 is no longer a client.\n"
    assert "batch-1" not in Keyring.load(keys).clients


def test_a_second_rotation_drops_no_secret_unless_asked_to(logops: Logops, keys: Path) -> None:
    before = keys.read_bytes()
    done = logops("keys", "rotate", "web-1")
    assert (done.code, done.out) == (2, "")
    assert "logops keys revoke web-1 --old" in done.err
    assert "--drop-oldest" in done.err
    assert keys.read_bytes() == before
    rotated = json.loads(logops("keys", "rotate", "web-1", "--drop-oldest", "--json").out)
    assert Keyring.load(keys).clients["web-1"].secrets == (rotated["secret"].encode(), b"s3cr3t-now")


def test_a_token_is_shown_once_and_stored_as_its_hash(logops: Logops, keys: Path) -> None:
    done = logops("keys", "token", "demo")
    token = done.out.splitlines()[1]
    assert token_of(token.encode()) in Keyring.load(keys).clients["demo"].tokens
    assert token not in keys.read_text()
    assert "auth.mode is hmac" in done.err
    sent = [line.strip() for line in done.out.splitlines()[4:]]
    assert f"Authorization: Bearer {token}" in sent
    assert f"Authorization: Basic {b64encode(f'demo:{token}'.encode()).decode()}" in sent
    assert {f"X-Api-Key: {token}", f"X-Api-Key: demo:{token}"} < set(sent)

    newest = json.loads(logops("keys", "token", "demo", "--json").out)["token"]
    assert logops("keys", "list").out.splitlines()[1].split()[-2:] == ["1", "2"]
    assert logops("keys", "revoke", "demo", "--tokens", "--old").out == "Only the newest token of demo is valid now.\n"
    assert Keyring.load(keys).clients["demo"].tokens == (token_of(newest.encode()),)
    assert logops("keys", "revoke", "demo", "--tokens").out == "demo has no token any more.\n"
    assert Keyring.load(keys).clients["demo"].tokens == ()


def test_a_client_without_secrets_keeps_a_token_and_gets_no_second_secret(logops: Logops, keys: Path) -> None:
    keys.write_text(f"clients: {{otel: {{tokens: ['sha256:{'0' * 64}'], modes: [api_key]}}}}")
    assert "otel has nothing but tokens" in logops("keys", "revoke", "otel", "--tokens").err
    assert "otel has no secret, only tokens" in logops("keys", "rotate", "otel").err
    assert logops("keys", "revoke", "otel", "--old").out == "otel has one secret; nothing was changed.\n"
    assert logops("keys", "list").out.splitlines()[1].split() == ["otel", "otel", "otel", "0", "1", "api_key"]
    for _ in range(15):
        assert logops("keys", "token", "otel").code == 0
    assert "has 16 tokens already" in logops("keys", "token", "otel").err


def test_list_shows_everything_but_secrets(logops: Logops, keys: Path) -> None:
    assert logops("keys", "list").out.splitlines() == [
        "client  emitter  may send as  secrets  tokens  held to",
        "demo    demo     demo, web    1        0",
        "web-1   web      web          2        0",
    ]
    assert json.loads(logops("keys", "list", "--json").out)[1] == {
        "name": "web-1",
        "emitter": "web",
        "emitters": ["web"],
        "secrets": 2,
        "tokens": 0,
        "modes": ["api_key", "hmac"],
    }


def test_check_warns_of_what_is_weak(logops: Logops, keys: Path) -> None:
    assert logops("keys", "check") == (0, "data/keys.yaml: 2 clients, 0 warnings\n", "")
    keys.chmod(0o644)
    done = logops("keys", "check")
    assert "has mode 0644" in done.err
    keys.write_text("clients: {a: {secrets: 3}}")
    assert (
        logops("keys", "check").err
        == "logops: data/keys.yaml:1: clients.a.secrets: expected a list of 1 to 2 secrets\n"
    )


def test_a_wrong_name_is_one_line(logops: Logops, keys: Path) -> None:
    assert logops("keys", "rotate", "web-2") == (
        2,
        "",
        "logops: data/keys.yaml has no client web-2; did you mean web-1?\n",
    )
    assert logops("keys").code == 2


def test_a_fernet_key_is_made_where_the_settings_say(logops: Logops) -> None:
    assert logops("keys", "fernet").code == 0
    assert len((logops.folder / "data" / "fernet.keys").read_text().strip()) == 44
