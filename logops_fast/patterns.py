"""Compiles patterns that have possessive or atomic groups: ``(?:...)*+``, ``(?>...)``.

They are what keeps a pattern linear in hostile text, without memory for each repetition. The module ``re`` of Python
3.11.0 to 3.11.4, which Debian 12 has, may end such a match too late: behind what a failed repetition had read
(python/cpython#106052). Personal data next to it would then stay, or too much go. The package ``regex`` takes its place
there. A single character that is repeated (``[a-z]*+``) is not concerned.
"""

from __future__ import annotations

import re
import sys
from typing import AnyStr

_FIXED = (3, 11, 5)


def compile_possessive(pattern: AnyStr) -> re.Pattern[AnyStr]:
    """Return the compiled pattern. Its flags are written in it (``(?s)``): the two modules number them differently."""
    if sys.version_info < _FIXED:
        import regex

        return regex.compile(pattern)  # type: ignore[no-any-return]
    return re.compile(pattern)
