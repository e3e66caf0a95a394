"""The exception of the configuration, and the wording that its messages share."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any, Final

from logops_fast.errors import OperatorError, one_line

_SHOWN: Final = 60  # characters of a wrong value that a message repeats
_SHOWN_BITS: Final = 10_000  # Python refuses to write integers of more than 4300 digits


class ConfigError(OperatorError):
    """A configuration that cannot be used.

    ``str(error)`` is ``path: what was expected``; ``located`` puts the file and line, or the environment variable, in
    front where it is known (``logops.yaml:7: ...`` or ``LOGOPS_SINK__DIR: ...``).
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = one_line(where)

    @property
    def located(self) -> str:
        """The line with its source in front."""
        return f"{self.where}: {self}" if self.where else str(self)


def shown(value: Any) -> str:
    """Return a rejected value the way messages repeat it: short, on one line, escaped."""
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
    """Return ``; did you mean X?`` for the closest known word, or an empty string; ``prefix`` goes in front of X."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
