"""Build hook of the wheel: with LOGOPS_COMPILE=1 the packages on a batch's way are compiled with mypyc.

The same source either way: without the switch (or a C compiler) the wheel is pure Python and does the same, slower.
Needs a C compiler and Python's headers. Nothing is written into the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "logops_fast"
SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup
setup(name="compiled", packages=[], py_modules=[],
      ext_modules=mypycify(sys.argv.pop().split("\\n"), opt_level="3", debug_level="0", group_name="logops_fast"))
"""


class CompileHook(BuildHookInterface[Any]):
    """Options (pyproject.toml): globs of modules to ``include`` and to ``exclude``."""

    PLUGIN_NAME = "custom"
    _folder: Path | None = None

    def _wanted(self) -> bool:
        return self.target_name == "wheel" and os.environ.get("LOGOPS_COMPILE", "0") not in ("", "0")

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling; nothing where nothing is compiled."""
        if not self._wanted():
            return []
        project = tomllib.loads((Path(self.root) / "pyproject.toml").read_text("utf-8"))
        return list(project["dependency-groups"]["compile"])

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile in a folder of its own, and have the wheel include what came out."""
        if version == "editable" or not self._wanted():
            return
        root = Path(self.root)
        self._folder = folder = Path(tempfile.mkdtemp(prefix="logops-compile-"))
        shutil.copytree(root / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        (folder / "setup.py").write_text(SETUP)
        arguments = [f"--config-file={root / 'pyproject.toml'}", *modules(folder, self.config)]
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "\n".join(arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            shutil.rmtree(folder)
            raise SystemExit(f"{done.stdout}\n{done.stderr}\nLOGOPS_COMPILE=1 needs a C compiler and Python's headers.")
        for library in folder.rglob("*.so"):
            name = library.relative_to(folder).as_posix()
            if not name.startswith("build/"):
                build_data["force_include"][str(library)] = name
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clean up."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def modules(folder: Path, config: dict[str, Any]) -> list[str]:
    """The modules to compile, relative to ``folder``."""
    kept = {path for pattern in config["include"] for path in folder.glob(pattern)}
    kept -= {path for pattern in config["exclude"] for path in folder.glob(pattern)}
    return sorted(path.relative_to(folder).as_posix() for path in kept if path.name != "__init__.py")
