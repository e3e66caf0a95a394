"""Build hook of the wheel: with LOGOPS_COMPILE=1 the hot packages are compiled with mypyc.

The source is the same either way: without LOGOPS_COMPILE=1 the wheel is pure Python and behaves the same, only slower.
Compiling needs a C compiler and Python's headers. Nothing is written into the checkout.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "logops_fast"
# Exit codes of the script below, so that the message names the step that failed.
TYPES_FAILED, C_FAILED = 3, 4
# One C file a module: gcc takes 2.5 times as long for all of them in one. The calls between modules are the same in
# either form, through symbols of the one library that is linked.
SETUP = f"""
import os, sys
from concurrent.futures import ThreadPoolExecutor
from mypyc.build import mypycify
from setuptools import setup
from setuptools.command.build_ext import build_ext

class InParallel(build_ext):
    def build_extensions(self):
        compile_one, compile_all = self.compiler._compile, self.compiler.compile
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            started = []

            def compile(*args, **options):
                objects = compile_all(*args, **options)
                while started:
                    started.pop().result()
                return objects

            self.compiler._compile = lambda *args: started.append(pool.submit(compile_one, *args))
            self.compiler.compile = compile
            super().build_extensions()

arguments = sys.argv.pop().split("\\n")
try:
    modules = mypycify(arguments, opt_level="3", debug_level="0", multi_file=True, group_name="{PACKAGE}")
except SystemExit as stopped:
    print(stopped, file=sys.stderr)
    sys.exit({TYPES_FAILED})
try:
    setup(name="compiled", packages=[], py_modules=[], ext_modules=modules, cmdclass={{"build_ext": InParallel}})
except SystemExit as stopped:
    if stopped.code:
        print(stopped, file=sys.stderr)
        sys.exit({C_FAILED})
"""
WITHOUT = "without LOGOPS_COMPILE=1 the same package installs as pure Python"


class CompileHook(BuildHookInterface[Any]):
    """Options (pyproject.toml): globs of modules to ``include`` and to ``exclude``."""

    PLUGIN_NAME = "custom"
    _folder: Path | None = None

    def _wanted(self) -> bool:
        return self.target_name == "wheel" and os.environ.get("LOGOPS_COMPILE", "0") not in ("", "0")

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling: nothing unless it compiles.

        mypyc checks the types first, and so has to see the types of what the package imports: the build environment
        gets the runtime dependencies too.
        """
        if not self._wanted():
            return []
        project = tomllib.loads((Path(self.root) / "pyproject.toml").read_text("utf-8"))
        return [*project["dependency-groups"]["compile"], *project["project"]["dependencies"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile in a temporary folder and add the extension modules to the wheel."""
        if version == "editable" or not self._wanted():
            return
        if missing := [name for name in ("mypyc", "setuptools") if importlib.util.find_spec(name) is None]:
            raise SystemExit(not_installed(missing))
        root = Path(self.root)
        self._folder = folder = Path(tempfile.mkdtemp(prefix="logops-compile-"))
        atexit.register(self._remove)  # an interrupt between here and the end of the wheel
        try:
            shutil.copytree(root / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            (folder / "setup.py").write_text(SETUP)
            arguments = [f"--config-file={root / 'pyproject.toml'}", *modules(folder, self.config)]
            command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "\n".join(arguments)]
            with exit_on_sigterm():
                code, said = run(command, folder)
        except BaseException:
            self._remove()
            raise
        if code:
            self._remove()
            raise SystemExit(f"{said}\n{cause(code, said)}")
        for library in folder.rglob("*.so"):
            name = library.relative_to(folder).as_posix()
            if not name.startswith("build/"):
                build_data["force_include"][str(library)] = name
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the temporary folder."""
        self._remove()

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            atexit.unregister(self._remove)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """End by SystemExit at a SIGTERM, whose default ends the process with its folder left behind."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(command: list[str], folder: Path) -> tuple[int, str]:
    """Run a command in ``folder`` and return its exit code and output.

    When interrupted, it ends with all the compilers it has started: they write into the folder.
    """
    with subprocess.Popen(  # noqa: S603
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # returns when the last of them is gone
            raise
    return process.returncode, f"{out}\n{err}"


def not_installed(missing: list[str]) -> str:
    """Return the message for a build environment without the tools that compile."""
    return (
        f"LOGOPS_COMPILE=1 needs {' and '.join(missing)}, missing in {sys.prefix}. pip installs them by itself; with "
        "--no-build-isolation or hatchling alone, install requirements.lock and requirements-compile.lock first"
    )


def cause(code: int, output: str) -> str:
    """Return one line with why the compilation failed, from the script's exit code and what it printed."""
    if code == TYPES_FAILED:
        if "import-not-found" in output or "Library stubs not installed" in output:
            return (
                f"LOGOPS_COMPILE=1: mypy lacks the types of a dependency in {sys.prefix} (see above). Install "
                "requirements.lock and requirements-compile.lock there, or let pip build in isolation"
            )
        return "LOGOPS_COMPILE=1: mypyc does not accept the source (see above): run `make types`"
    if code == C_FAILED:
        if "Python.h" in output:
            return (
                f"LOGOPS_COMPILE=1 needs Python's headers, and {sysconfig.get_path('include')} has no Python.h "
                f"(Debian and Ubuntu: apt-get install python3-dev); {WITHOUT}"
            )
        if "No such file or directory" in output:
            return f"LOGOPS_COMPILE=1 needs a C compiler (Debian and Ubuntu: apt-get install gcc libc6-dev); {WITHOUT}"
        return f"LOGOPS_COMPILE=1: the C compiler failed (see above); {WITHOUT}"
    return f"LOGOPS_COMPILE=1: the compilation ended with exit code {code} (see above); {WITHOUT}"


def modules(folder: Path, config: dict[str, Any]) -> list[str]:
    """Return the modules to compile, relative to ``folder``."""
    kept = {path for pattern in config["include"] for path in folder.glob(pattern)}
    kept -= {path for pattern in config["exclude"] for path in folder.glob(pattern)}
    return sorted(path.relative_to(folder).as_posix() for path in kept if path.name != "__init__.py")
