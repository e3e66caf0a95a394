"""The settled form of a time, ``YYYY-MM-DDTHH:MM:SS[.fraction]Z``, which most loggers write: stored as it comes."""

from __future__ import annotations

from datetime import datetime
from typing import Final

# The separators of YYYY-MM-DDTHH:MM:SS.fZ and YYYY-MM-DDTHH:MM:SSZ are three apart, from the fifth character on.
WITH_FRACTION: Final = "--T::."
WHOLE_SECONDS: Final = "--T::Z"
WHOLE_LENGTH: Final = 20
# fromisoformat ignores what follows the sixth fraction digit, and accepts a dot without any digit.
SHORTEST: Final = 22
LONGEST: Final = 27
NANOSECONDS: Final = 30
"""Go and OpenTelemetry write nine digits; the last three are checked by themselves (`has_nanoseconds`)."""


def is_settled(ts: str) -> bool:
    """Return whether a time is in its settled form, with at most six or exactly nine digits of a fraction.

    Other times of that form exist; they are read as any other form is, to the same text.
    """
    shape = ts[4:20:3]
    if (
        (shape == WITH_FRACTION and SHORTEST <= len(ts) <= LONGEST and ts[-1] == "Z")
        or (shape == WHOLE_SECONDS and len(ts) == WHOLE_LENGTH)
        or (shape == WITH_FRACTION and has_nanoseconds(ts))
    ):
        try:
            datetime.fromisoformat(ts)
        except ValueError:
            return False
        return True
    return False


def has_nanoseconds(ts: str) -> bool:
    """Return whether a text ends as a time with nine digits of a fraction does."""
    return len(ts) == NANOSECONDS and ts[-1] == "Z" and ts[26:29].isascii() and ts[26:29].isdigit()
