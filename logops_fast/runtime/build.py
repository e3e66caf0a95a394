"""How this copy of the package was built."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

COMPILED: Final = "compiled"
INTERPRETED: Final = "interpreted"
NATIVE: Final = "native"


def build() -> str:
    """Return ``native`` with the native kernel, ``compiled`` if the hot packages are native code, else ``interpreted``.

    The compiled files (LOGOPS_COMPILE=1) are next to the sources; Python prefers them.
    """
    from logops_fast.ingest.native.reader import is_native  # here: most commands start without a gateway's modules

    if is_native():
        return NATIVE
    module = Path(__file__).parent.parent / "ingest" / "normaliser"
    return COMPILED if any(module.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES) else INTERPRETED
