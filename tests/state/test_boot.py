"""What identifies a boot of the machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from logops_fast.state import boot
from logops_fast.state.boot import boot_id


def test_it_is_the_same_until_the_next_boot() -> None:
    assert boot_id() == boot_id()
    assert 0 < len(boot_id()) <= 36


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS asks the kernel by another way")
@pytest.mark.interpreted
def test_without_one_nothing_outlives_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boot, "_LINUX", tmp_path / "no such file")
    assert boot_id() != boot_id()
    (tmp_path / "boot").write_text("0123456789abcdef" * 4 + "\n")
    monkeypatch.setattr(boot, "_LINUX", tmp_path / "boot")
    assert boot_id() == ("0123456789abcdef" * 4)[:36]
