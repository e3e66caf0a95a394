"""How this copy of the package was built."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

COMPILED: Final = "compiled"
INTERPRETED: Final = "interpreted"


def build() -> str:
    """``compiled`` where the packages on a batch's way are native code (LOGOPS_COMPILE=1), else ``interpreted``."""
    spec = find_spec("logops_fast.ingest.normaliser")
    source = spec is None or spec.origin is None or spec.origin.endswith(".py")
    return INTERPRETED if source else COMPILED
