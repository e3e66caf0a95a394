"""``python -m logops_fast`` is ``logops``."""

from __future__ import annotations

import sys

from logops_fast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
