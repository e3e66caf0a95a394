"""Builds the library that makes a disk stall (``slow_disk.c``), and controls it."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

MODES = (
    "none",
    "hang_write",
    "hang_sync",
    "hang_open",
    "hang_truncate",
    "freeze",
    "short_write",
    "fail_sync",
)
CONTROL = struct.Struct("<II")
MET = struct.Struct("<I")


@cache
def library() -> Path:
    """The shared library, built once in each process that asks for it; skips the test without a C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    target = Path(mkdtemp(prefix="logops-shim-")) / "slow_disk.so"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"], check=True)
    return target


class SlowDisk:
    """The disk below one directory, as the processes that were started with ``environment`` see it."""

    def __init__(self, control: Path, directory: Path) -> None:
        control.write_bytes(bytes(CONTROL.size + MET.size))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), CONTROL.size + MET.size)
        self.environment = {
            "LD_PRELOAD": str(library()),
            "LOGOPS_SHIM_CONTROL": str(control),
            "LOGOPS_SHIM_DIR": str(directory),
        }

    def set(self, mode: str = "none", *, pid: int = 0) -> None:
        """Change what its calls do; ``pid`` restricts it to one process."""
        CONTROL.pack_into(self._map, 0, 0, pid)  # never the new mode with the old process
        CONTROL.pack_into(self._map, 0, MODES.index(mode), pid)

    def met(self) -> int:
        """Return how many calls have met a fault so far, in all processes."""
        return int(MET.unpack_from(self._map, CONTROL.size)[0])
