"""Object keys that hold personal data: renamed, and never two into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def keys_of(value: Any) -> Iterator[str]:
    """The keys of every object in ``value``."""
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from keys_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys_of(item)


def rename_keys(value: Any, names: Mapping[str, str]) -> None:
    """Gives every key in ``value`` its new name, in place and in order; a name that is taken gets ``#2``, ``#3``."""
    if isinstance(value, dict):
        entries = list(value.items())
        stay = {key for key in value if names[key] == key}
        if len(stay) < len(entries):
            value.clear()
            nth: dict[str, int] = {}
            for key, item in entries:
                name = free = names[key]
                while free != key and (free in value or free in stay):
                    nth[name] = nth.get(name, 1) + 1
                    free = f"{name}#{nth[name]}"
                value[free] = item
        for _, item in entries:
            rename_keys(item, names)
    elif isinstance(value, list):
        for item in value:
            rename_keys(item, names)
