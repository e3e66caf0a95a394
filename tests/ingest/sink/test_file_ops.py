from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError


def test_a_failure_names_the_step_the_file_and_the_cause() -> None:
    error = StepFailedError("write", Path("/sink/f"), OSError(28, "No space left on device"))
    assert (error.operation, str(error)) == ("write", "write /sink/f: No space left on device")
    assert str(StepFailedError("internal", Path("f"), OSError("a defect"))) == "internal f: a defect"


@pytest.mark.parametrize("system", ["linux", "macos", "other"])
def test_a_sync_reaches_the_disk_on_every_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _fd: calls.append("fdatasync"))
    monkeypatch.setattr(os, "fsync", lambda _fd: calls.append("fsync"))
    monkeypatch.setattr(fcntl, "fcntl", lambda _fd, command: calls.append(command))
    if system == "macos":
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", "F_FULLFSYNC", raising=False)
    elif system == "other":
        monkeypatch.delattr(os, "fdatasync")
    FileOps().sync(0)
    assert calls == [{"linux": "fdatasync", "macos": "F_FULLFSYNC", "other": "fsync"}[system]]
