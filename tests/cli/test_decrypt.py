from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import orjson
import pytest
from cryptography.fernet import Fernet

from logops_fast.ingest.encryption import Encryptor
from tests.cli.conftest import Logops

OLD, NEW, STRANGE = (Fernet.generate_key().decode() for _ in range(3))


def line(key: str, text: str) -> bytes:
    event = {"msg": text}
    Encryptor([key], ["msg"]).add_tokens(event)
    return orjson.dumps({**event, "msg": "masked"}) + b"\n"


@pytest.fixture
def keys_file(logops: Logops) -> Path:
    path = logops.folder / "data" / "fernet.keys"
    path.parent.mkdir()
    path.write_text(f"{NEW}\n# before\n{OLD}\n")
    return path


def test_every_key_opens_what_it_encrypted(logops: Logops, keys_file: Path) -> None:
    (logops.folder / "a.ndjson").write_bytes(line(NEW, "bob@example.com") + b"\n" + line(OLD, "żółw"))
    (logops.folder / "b.ndjson").write_bytes(b'{"msg":"plain"}\n')
    done = logops("decrypt", "a.ndjson", "b.ndjson")
    assert [orjson.loads(out) for out in done.out.splitlines()] == [
        {"msg": "bob@example.com"},
        {"msg": "żółw"},
        {"msg": "plain"},
    ]
    assert (done.code, done.err) == (0, "")


def test_standard_input_is_read_where_no_file_is_named(
    logops: Logops, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line(NEW, "a"))))
    assert logops("decrypt").out == '{"msg":"a"}\n'


def test_an_archived_file_is_read_and_types_come_back(logops: Logops, keys_file: Path) -> None:
    event = {"msg": "x", "account": 7, "tags": ["a", {"b": None}]}
    Encryptor([NEW], ["msg", "account", "tags"]).add_tokens(event)
    assert event["account"] == event["tags"] == "***"
    (logops.folder / "20250130.ndjson.gz").write_bytes(gzip.compress(orjson.dumps(event) + b"\n" + line(OLD, "b")))
    done = logops("decrypt", "20250130.ndjson.gz")
    assert [orjson.loads(out) for out in done.out.splitlines()] == [
        {"msg": "x", "account": 7, "tags": ["a", {"b": None}]},
        {"msg": "b"},
    ]
    assert done.code == 0


def test_what_cannot_be_read_or_opened_is_told(logops: Logops, keys_file: Path) -> None:
    (logops.folder / "a.ndjson").write_bytes(b"{torn\n[1]\n" + line(STRANGE, "a") + line(NEW, "b"))
    done = logops("decrypt", "a.ndjson")
    assert done.code == 1
    assert [orjson.loads(out)["msg"] for out in done.out.splitlines()] == ["masked", "b"]
    first, second, third = done.err.splitlines()
    assert first.startswith("logops: a.ndjson:1: ")
    assert second == "logops: a.ndjson:2: is not a JSON object"
    assert third == "logops: 1 fields were encrypted with none of these keys; they are left as they are"


def test_the_key_may_be_given_by_environment_or_another_file(
    logops: Logops, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logops.folder / "a.ndjson").write_bytes(line(STRANGE, "a"))
    (logops.folder / "other.keys").write_text(STRANGE)
    assert logops("decrypt", "a.ndjson", "--keys-file", "other.keys").out == '{"msg":"a"}\n'
    monkeypatch.setenv("LOGOPS_SECRET_KEY", STRANGE)
    assert logops("decrypt", "a.ndjson").out == '{"msg":"a"}\n'


def test_no_key_is_one_line(logops: Logops, keys_file: Path) -> None:
    keys_file.write_text("hunter2\n")
    done = logops("decrypt", "a.ndjson")
    assert done.code == 2
    assert done.err.startswith("logops: line 1 of the Fernet keys file data/fernet.keys is not a Fernet key")
    assert "hunter2" not in done.err
