"""How many examples a costly or an important property gets, in proportion to what the profile gives every other."""

from __future__ import annotations

from hypothesis import settings

EVERYDAY = "default"
"""The profile of a developer's run; every other (tests/conftest.py) tries all there is to try."""


def thorough() -> bool:
    """Return whether the profile in use tries whole tables, and does not sample them."""
    return settings.get_current_profile_name() != EVERYDAY


def examples(share: float, everyday: float | None = None) -> int:
    """``share`` times the examples of the profile in use; ``everyday`` times in a developer's run, if given."""
    chosen = share if everyday is None or thorough() else everyday
    return max(1, int(chosen * settings().max_examples))
