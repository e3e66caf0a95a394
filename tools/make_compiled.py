"""Copies the checkout to build/compiled, with the hot packages as native code.

Tests and benchmarks of the compiled build run there: ``logops_fast`` is what the compiled wheel holds, the rest are
copies of the checkout's files. Only what changed is rebuilt.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "compiled"
PACKAGE = "logops_fast"


def main() -> int:
    """Build the wheel if its sources changed, and bring the other files up to date."""
    files = tracked()
    digest = fingerprint(files)
    stamp = TARGET / ".stamp"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(TARGET, ignore_errors=True)
        TARGET.mkdir(parents=True)
        print("Compiling (a minute or two) ...", flush=True)
        wheel = build(TARGET / ".wheel")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(TARGET)
        stamp.write_text(digest)
    for path in files:
        if path.parts[0] != PACKAGE and (ROOT / path).is_file():
            (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, TARGET / path)
    print(TARGET)
    return 0


def tracked() -> list[Path]:
    """Return the checkout's files, new ones included, ignored ones left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit("make compiled needs git and a clone; LOGOPS_COMPILE=1 pip install . needs neither") from None
    return [Path(name) for name in listing.split("\0") if name]


def fingerprint(files: list[Path]) -> str:
    """Return a digest of all that the wheel is built from, and of the interpreter it is built for."""
    digest = hashlib.sha256(sys.version.encode())
    for path in files:
        if path.parts[0] == PACKAGE or path.name in ("pyproject.toml", "compile_hook.py", "requirements-dev.lock"):
            digest.update(f"{path}\0".encode())
            digest.update((ROOT / path).read_bytes() if (ROOT / path).is_file() else b"")
    return digest.hexdigest()


def build(folder: Path) -> Path:
    """Build the compiled wheel and return its path. At an interrupt the build ends first: it removes what it made."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    environment = {**os.environ, "LOGOPS_COMPILE": "1"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment) as process:
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()  # subprocess.run would kill it
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)
    (wheel,) = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    sys.exit(main())
