"""Plain value objects in tests: what they hold, and copies that differ. Works for compiled classes too."""

from __future__ import annotations

from typing import Any, TypeVar

ValueT = TypeVar("ValueT")


def values(one: Any) -> dict[str, Any]:
    """The public attributes of an object with slots, by name."""
    kind = type(one)
    names = [name for name in vars(kind) if not name.startswith("_") and not callable(getattr(kind, name))]
    return {name: getattr(one, name) for name in sorted(names)}


def copied(one: ValueT, **changes: Any) -> ValueT:
    """A copy of an object whose attributes are its constructor's parameters, with some changed."""
    return type(one)(**{**values(one), **changes})
