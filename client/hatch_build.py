"""Build hook of ``logops-fast-client``: the client library and what it imports, as a package of its own.

In a checkout the modules are taken from ``../logops_fast``: those that ``logops_fast.client`` reaches by its imports,
with ``logops_fast.client`` and ``logops_fast`` renamed to ``logops_fast_client``. A source distribution has them
already.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "logops_fast"
PACKAGE = "logops_fast_client"
_NAME = re.compile(rf"\b{SOURCE}\b(\.client\b)?")


class ClientPackageHook(BuildHookInterface[Any]):
    """Adds the package to the wheel and to the source distribution."""

    PLUGIN_NAME = "custom"
    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the package and include it."""
        root = Path(self.root)
        if not (root / PACKAGE).is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix="logops-client-"))
            package = self._folder / PACKAGE
            write_package(root.parent, package, self.metadata.version)
            build_data["force_include"][str(package)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written."""
        if self._folder is not None:
            shutil.rmtree(self._folder)


def write_package(checkout: Path, folder: Path, version: str) -> None:
    """Write the package to ``folder``; ``checkout`` holds ``logops_fast``."""
    folder.mkdir(parents=True)
    (folder / "py.typed").touch()
    for module in modules(checkout):
        text = (checkout / module).read_text("utf-8")
        path = folder / module.relative_to("logops_fast/client" if module.parts[1] == "client" else SOURCE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_NAME.sub(PACKAGE, text), "utf-8")
    with (folder / "__init__.py").open("a", encoding="utf-8") as out:
        out.write(f'\n__version__ = "{version}"\n')


def modules(checkout: Path) -> list[Path]:
    """Return the files of the client library and of all that it imports of the project, relative to ``checkout``."""
    todo = sorted(path.relative_to(checkout) for path in (checkout / SOURCE / "client").glob("*.py"))
    found: set[Path] = set()
    while todo:
        module = todo.pop()
        if module in found:
            continue
        found.add(module)
        package = module.parent / "__init__.py"
        if package != Path(SOURCE) / "__init__.py":  # it holds the gateway's version
            todo.append(package)
        for name in imported(checkout / module):
            if name.partition(".")[0] == SOURCE:
                todo.append(Path(*name.split(".")).with_suffix(".py"))
    return sorted(found)


def imported(path: Path) -> Iterator[str]:
    """Yield the names of the modules that a module imports, wherever the statement is."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
