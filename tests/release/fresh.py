"""Environments that have nothing but Python, and the commands of documents and of the Dockerfile run in them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT: tuple[str, ...] = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_PROXY",
)
KEPT += (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CC",  # .ci/cc compiles the same text once
    "LOGOPS_CI_OBJECTS",
)


def base_python() -> str:
    """Return the interpreter that this environment was made from."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def environment(first_on_path: Path, **more: str) -> dict[str, str]:
    """Return the variables of a new machine: how to reach the network, and a PATH without the developers' tools."""
    developers = str(Path(sys.executable).parent)
    path = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != developers]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PATH": os.pathsep.join([str(first_on_path), *path]), **more}


def run(command: str | list[str], cwd: Path, env: Mapping[str, str], timeout: float = 900) -> str:
    """Run a command (text: by the shell, as in a Dockerfile) and return its output; fails unless it exits with 0."""
    words = ["/bin/sh", "-e", "-c", command] if isinstance(command, str) else command
    done = subprocess.run(
        words,
        cwd=cwd,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}exit code {done.returncode}"
    return done.stdout


def new_environment(folder: Path) -> Path:
    """Make a virtual environment and return its folder of programs."""
    run([base_python(), "-m", "venv", str(folder)], folder.parent, environment(folder / "bin"))
    return folder / "bin"


def user_environment() -> Path:
    """Return the folder of programs of an environment with the locked dependencies and this checkout's package.

    It lies in build/: the dependencies are installed again if the lock file changed, the package if a file of it did.
    Not each time: tests in another process may be using it.
    """
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = ROOT / "build" / "user-environment" / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / ".stamp"
        digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes() + sys.version.encode()).hexdigest()
        env = environment(folder / "bin", PIP_DISABLE_PIP_VERSION_CHECK="1")
        if not stamp.exists() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            new_environment(folder)
            run("python -m pip install --quiet --require-hashes --requirement requirements.lock", ROOT, env)
            stamp.write_text(digest)
        installed = folder / ".installed"
        package = package_digest()
        if not installed.exists() or installed.read_text() != package:
            run("python -m pip install --quiet --no-deps --no-build-isolation --force-reinstall .", ROOT, env)
            installed.write_text(package)
    return folder / "bin"


def package_digest() -> str:
    """Return a digest of all files that the package is built from."""
    digest = hashlib.sha256()
    places = [
        ROOT / name for name in ("pyproject.toml", "logops_fast", "deploy", "docs/logops.1", "tools/compile_hook.py")
    ]
    for path in sorted(path for place in places for path in (place.rglob("*") if place.is_dir() else [place])):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()
