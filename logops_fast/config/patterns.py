"""Names and globs of fields, as ``pii.fields`` and ``pii.keep`` list them.

In a glob ``*`` is any text, ``?`` one character, ``[ab]`` one of several; case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from logops_fast.errors import LogOpsError

SPECIAL: Final = "*?["
_PART: Final = re.compile(r"(\*+|\?|\[!?\]?[^\]\[]*\])")


class PatternError(LogOpsError, ValueError):
    """A pattern that can never do what it says; the message names the setting and the pattern."""


def is_glob(pattern: str) -> bool:
    """Whether a pattern is more than a name."""
    return any(char in pattern for char in SPECIAL)


def matcher(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Return what matches a lower-case name that one of ``patterns`` names; None without any."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{_source(pattern.lower())})" for pattern in patterns), re.DOTALL)


def check_patterns(fields: Iterable[str], keep: Iterable[str]) -> None:
    """Check the patterns of both settings.

    Raises PatternError if a pattern is empty, is malformed or matches every name, or if one of ``fields`` is shadowed
    by one of ``keep``: a field is either masked or kept.
    """
    for setting, patterns in (("pii.fields", fields), ("pii.keep", keep)):
        for pattern in patterns:
            fault = _fault(pattern)
            if fault:
                raise PatternError(f"{setting}: {pattern!r} {fault}")
    kept = list(keep)
    for field in fields:
        for name in kept:
            if field.lower() == name.lower() or (not is_glob(field) and _matches(name, field)):
                raise PatternError(
                    f"pii.fields: {field!r} is shadowed by {name!r} of pii.keep; a field is either masked or kept"
                )


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(_source(pattern.lower()), name.lower(), re.DOTALL) is not None


def _fault(pattern: str) -> str:
    if not pattern.strip():
        return "is empty and matches nothing; remove it"
    if pattern != pattern.strip() or not pattern.isprintable():
        return "has blanks around it or characters that no name has; write the name alone"
    if not pattern.strip("*?"):
        return "matches every field; name the fields"
    if any(char in "[]{}" for part in _PART.split(pattern)[::2] for char in part):
        return "is not a glob: a bracket is not closed, or is a brace; use `*`, `?` and `[ab]`"
    return ""


def _source(pattern: str) -> str:
    out = []
    for index, part in enumerate(_PART.split(pattern)):
        if not index % 2:
            out.append(re.escape(part))
        elif part == "?":
            out.append(".")
        elif part.startswith("*"):
            out.append(".*")
        else:
            inner = part[1:-1]
            negated = inner.startswith("!")
            members = re.sub(r"([\\&~|^\]])", r"\\\1", inner[1:] if negated else inner)
            out.append(f"[{'^' if negated else ''}{members}]")
    return "".join(out)
