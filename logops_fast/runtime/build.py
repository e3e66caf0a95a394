"""How this copy of the package was built."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

COMPILED: Final = "compiled"
INTERPRETED: Final = "interpreted"


def build() -> str:
    """Return ``compiled`` if the hot packages are native code (LOGOPS_COMPILE=1), else ``interpreted``.

    It looks at the files, which Python prefers to the sources next to them, and imports nothing.
    """
    module = Path(__file__).parent.parent / "ingest" / "normaliser"
    return COMPILED if any(module.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES) else INTERPRETED
