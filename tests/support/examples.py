"""How many examples a costly or an important property gets, in proportion to what the profile gives every other."""

from __future__ import annotations

from hypothesis import settings


def examples(share: float) -> int:
    """``share`` times the examples of the profile in use (tests/conftest.py)."""
    return max(1, int(share * settings().max_examples))
