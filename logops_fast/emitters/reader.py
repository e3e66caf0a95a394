"""Reads a YAML mapping field by field, each with its type and bounds; a field that was not read is an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from logops_fast.config.errors import ConfigError, did_you_mean, shown
from logops_fast.config.yaml_tree import Tree, as_mapping


class Section:
    """A mapping that is being read. A default of None means that the field is required.

    Every method raises ConfigError, with the line, the path and what was expected. Call ``end()`` last.
    """

    def __init__(self, tree: Tree, path: tuple[str, ...], value: Any) -> None:
        self._tree = tree
        self._path = path
        self._fields = as_mapping(value, ".".join(path) or tree.name, tree.where(path))
        self._known: list[str] = []

    @classmethod
    def root(cls, tree: Tree) -> Section:
        """Return the section that is the whole document."""
        return cls(tree, (), tree.value)

    def where(self, *path: str) -> str:
        """Return ``file:line`` of a field."""
        return self._tree.where((*self._path, *path))

    def wrong(self, key: str, expected: str) -> ConfigError:
        """Return the error for a field that is missing or not as expected."""
        got = "" if key in self._fields else "; it is missing"
        if key in self._fields:
            got = f", got {shown(self._fields[key])}"
        return ConfigError(f"{'.'.join((*self._path, key))}: expected {expected}{got}", self.where(key))

    def has(self, key: str) -> bool:
        """Return whether the field is there."""
        self._known.append(key)
        return key in self._fields

    def number(
        self,
        key: str,
        default: float | None,
        *,
        least: float | None = None,
        above: float | None = None,
        most: float | None = None,
    ) -> float:
        """Return a number within its bounds."""
        if not self.has(key) and default is not None:
            return default
        value = self._fields.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            value = None
        if value is not None and _within(value, least, above, most):
            return float(value)
        raise self.wrong(key, "a number" + _bounds(least, above, most))

    def integer(self, key: str, default: int | None, *, least: int, most: int | None = None) -> int:
        """Return a whole number within its bounds."""
        if not self.has(key) and default is not None:
            return default
        value = self._fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and _within(value, least, None, most):
            return value
        raise self.wrong(key, "a whole number" + _bounds(least, None, most))

    def text(self, key: str, default: str | None) -> str:
        """Return a text."""
        if not self.has(key) and default is not None:
            return default
        value = self._fields.get(key)
        if isinstance(value, str):
            return value
        raise self.wrong(key, "text")

    def choice(self, key: str, default: str | None, words: Collection[str]) -> str:
        """Return one of ``words``."""
        if not self.has(key) and default is not None:
            return default
        value = self._fields.get(key)
        if isinstance(value, str) and value in words:
            return value
        raise self.wrong(key, "one of " + ", ".join(words) if len(words) > 1 else next(iter(words)))

    def section(self, key: str) -> Section:
        """Return a mapping inside this one; an empty one if it is not there."""
        self._known.append(key)
        return Section(self._tree, (*self._path, key), self._fields.get(key))

    def sections(self, key: str) -> list[Section]:
        """Return a list of at least one mapping."""
        self._known.append(key)
        value = self._fields.get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, "a list of at least one mapping")
        return [Section(self._tree, (*self._path, key, str(number)), item) for number, item in enumerate(value)]

    def items(self, key: str, good: Callable[[Any], bool], expected: str) -> list[Any]:
        """Return a list of items that are all ``good``; an empty one if it is not there."""
        if not self.has(key):
            return []
        value = self._fields[key]
        if isinstance(value, list) and all(map(good, value)):
            return value
        raise self.wrong(key, f"a list of {expected}")

    def rest(self) -> dict[str, Any]:
        """Return all fields that have not been read yet; they count as read."""
        found = {key: value for key, value in self._fields.items() if key not in self._known}
        self._known += found
        return found

    def end(self) -> None:
        """Raise ConfigError if there is a field that was not read."""
        for key in self._fields:
            if key not in self._known:
                path = ".".join((*self._path, key))
                raise ConfigError(f"{path}: unknown key{did_you_mean(key, self._known)}", self.where(key))


def _within(value: float, least: float | None, above: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (above is None or value > above) and (most is None or value <= most)


def _bounds(least: float | None, above: float | None, most: float | None) -> str:
    words = []
    if least is not None:
        words.append(f">= {least:g}")
    if above is not None:
        words.append(f"> {above:g}")
    if most is not None:
        words.append(f"<= {most:g}")
    return " " + " and ".join(words) if words else ""
