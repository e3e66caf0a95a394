from __future__ import annotations

import base64
import stat
import threading
from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.config.keys_edit import (
    add_client,
    add_fernet_key,
    revoke_client,
    revoke_old_secret,
    rotate_client,
)
from logops_fast.config.keys_file import Keyring


def clients(path: Path) -> dict[str, tuple[bytes, ...]]:
    return {name: client.secrets for name, client in Keyring.load(path).clients.items()}


def test_a_client_lives_from_add_over_rotate_to_revoke(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.yaml"
    first = add_client(path, "web-1", "web", ["batch"]).encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.load(path).clients["web-1"].emitters == {"web", "batch"}
    second = rotate_client(path, "web-1").encode()
    assert clients(path) == {"web-1": (second, first)}
    with pytest.raises(ConfigError, match="--drop-oldest"):
        rotate_client(path, "web-1")
    assert clients(path) == {"web-1": (second, first)}
    third = rotate_client(path, "web-1", drop_oldest=True).encode()
    assert clients(path) == {"web-1": (third, second)}
    assert revoke_old_secret(path, "web-1")
    assert clients(path) == {"web-1": (third,)}
    assert not revoke_old_secret(path, "web-1")
    add_client(path, "app", None, [])
    revoke_client(path, "web-1")
    assert list(clients(path)) == ["app"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: add_client(p, "web", None, []), "has a client web already; `logops keys rotate web`"),
        (lambda p: add_client(p, "a b", None, []), "expected the name of a client"),
        (lambda p: add_client(p, "b", "x y", []), "expected the name of an emitter"),
        (lambda p: rotate_client(p, "wbe"), "has no client wbe; did you mean web?"),
        (lambda p: revoke_client(p, "zzz"), "has no client zzz"),
        (lambda p: rotate_client(p, "filed"), "the secret of filed is in the file s; rotate it there"),
    ],
)
def test_a_change_that_cannot_be_leaves_the_file_as_it_was(tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "keys.yaml"
    (tmp_path / "s").write_text("from-a-file")
    text = "# mine\nclients: {web: {secrets: [aaaaaaaa]}, filed: {secrets: [{file: s}]}}"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        change(path)  # type: ignore[operator]
    assert path.read_text() == text
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["keys.yaml", "s"]


def test_a_file_that_is_wrong_is_not_made_over(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("clients: {web: {secrets: []}}")
    with pytest.raises(ConfigError, match=r"clients\.web\.secrets"):
        add_client(path, "app", None, [])
    assert path.read_text() == "clients: {web: {secrets: []}}"


def test_secrets_in_files_stay_in_files(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    (tmp_path / "s").write_text("from-a-file")
    path.write_text("clients: {filed: {secrets: [{file: s}]}}")
    add_client(path, "web", None, [])
    assert "from-a-file" not in path.read_text()
    assert clients(path)["filed"] == (b"from-a-file",)


def test_the_file_a_link_leads_to_is_changed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "keys.yaml"
    real.write_text("clients: {}")
    link.symlink_to(real)
    add_client(link, "web", None, [])
    assert link.is_symlink()
    assert list(clients(real)) == ["web"]


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    names = [f"client-{i}" for i in range(8)]
    threads = [threading.Thread(target=add_client, args=(path, name, None, [])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(clients(path)) == names


def test_a_new_fernet_key_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "data" / "fernet.keys"
    add_fernet_key(path)
    first = path.read_text()
    add_fernet_key(path)
    assert path.read_text().endswith(first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = path.read_text().split()
    assert len(set(keys)) == 2
    assert all(len(base64.urlsafe_b64decode(key)) == 32 for key in keys)
