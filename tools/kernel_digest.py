"""Writes the digest of the masks and times that the native kernel knows by heart: kernel/src/reference.digest.

Run it after a change to them, then `make test-native`: a kernel built with another digest stays off, in tests too.
Commit the digest once the kernel is found equal to the reference.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from logops_fast.ingest.native.table import digest

PATH: Final = Path(__file__).resolve().parents[1] / "kernel" / "src" / "reference.digest"


def main() -> int:
    """Entry point."""
    PATH.write_text(digest() + "\n")
    print(PATH.relative_to(Path.cwd()) if PATH.is_relative_to(Path.cwd()) else PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
