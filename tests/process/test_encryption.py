"""Fernet encryption end to end: stored beside the masked text, read back by the holder of a key, rotated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.support.gateway import running

pytestmark = pytest.mark.process

EVENT = {"msg": "mail bob@example.com", "user_email": "bob@example.com", "client_ip": "10.1.2.3", "n": 1}


def decrypted(folder: Path, keys: str) -> list[dict[str, object]]:
    (folder / "other.keys").write_text(keys)
    files = [str(path) for path in sorted((folder / "data" / "ingest").glob("*.ndjson"))]
    done = subprocess.run(
        [sys.executable, "-m", "logops_fast", "decrypt", *files],
        cwd=folder,
        env={"LOGOPS_PII__FERNET_KEYS_FILE": "other.keys", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=30,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_originals_are_stored_encrypted_and_read_back_across_a_rotation(tmp_path: Path) -> None:
    first, second = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    keys = tmp_path / "data" / "fernet.keys"
    keys.parent.mkdir()
    for content in (first, f"{second}\n{first}\n"):
        keys.write_text(content)
        with running(tmp_path, settings={"pii": {"encrypt": True}}) as gateway:
            assert gateway.send([EVENT]).status == 200
            text = "\n".join(gateway.lines())
            assert "bob@" not in text
            assert "10.1.2.3" not in text
            stored = gateway.stored()[-1]
            assert (stored["msg"], stored["client_ip"]) == ("mail b***@example.com", "***")
            assert stored["msg_enc"].startswith("gAAAA")
    events = decrypted(tmp_path, f"{second}\n{first}\n")
    assert [event["msg"] for event in events] == [EVENT["msg"]] * 2
    assert [event["client_ip"] for event in events] == [EVENT["client_ip"]] * 2
    only_first = decrypted(tmp_path, first)
    assert [event["msg"] for event in only_first] == [EVENT["msg"], "mail b***@example.com"]
