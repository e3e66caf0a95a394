"""The one exception of the configuration, and the wording its messages share."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any, Final

_SHOWN: Final = 60  # characters of a wrong value that a message repeats
_SHOWN_BITS: Final = 10_000  # Python refuses to write integers of more than 4300 digits


class ConfigError(Exception):
    """A configuration that cannot be used: one readable line.

    ``str(error)`` is the line itself (``path: what was expected``); ``located`` has where it stands before it, the way
    compilers write it, where that is known (``logops.yaml:7: ...`` or ``LOGOPS_SINK__DIR: ...``).
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(one_line(message))
        self.where = one_line(where)

    @property
    def located(self) -> str:
        """The line with where it came from before it."""
        return f"{self.where}: {self}" if self.where else str(self)


def one_line(text: str) -> str:
    """The text with whatever is no printable character escaped: keys, paths and names come as they were written."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: Any) -> str:
    """A wrong value as a message repeats it: short, on one line, escaped."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return "a number that is too long"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):  # YAML dates, binary
        text = json.dumps(str(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """``; did you mean X?`` for the nearest known word, or nothing; ``prefix`` is put before it."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
