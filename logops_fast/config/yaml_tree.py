"""YAML read strictly: no duplicate keys, text keys only, and the line of each value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from logops_fast.config.errors import ConfigError, shown

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH: Final = 32  # also ends an alias that contains itself


class Tree(NamedTuple):
    """A document: plain values, and the line (from 1) of each entry and list item by its path."""

    value: Any
    lines: dict[tuple[str, ...], int]
    name: str

    def where(self, path: tuple[str, ...]) -> str:
        """``file:line`` of the entry, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines[path]}" if path else self.name


def read_tree(path: Path) -> Tree:
    """Read a YAML file. Raises ConfigError if it cannot be read or is not strict YAML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    return parse_tree(text, str(path))


def parse_tree(text: str, name: str) -> Tree:
    """Parse YAML text; ``name`` is what messages call it. Raises ConfigError."""
    lines: dict[tuple[str, ...], int] = {}
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        value = None if node is None else _build(loader, node, (), lines, name)
    except yaml.MarkedYAMLError as error:
        # The problem only, never the context: a snippet of a keys file would be a secret.
        where = f"{name}:{error.problem_mark.line + 1}" if error.problem_mark else name
        raise ConfigError(f"{where}: is not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-99-99
        raise ConfigError(f"{name}: is not valid YAML: {type(error).__name__}") from None
    finally:
        loader.dispose()
    return Tree(value, lines, name)


def parse_scalar(text: str) -> Any:
    """Return the YAML value of an environment variable's text, or the text itself if it is not YAML."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError):
        return text


def _build(loader: Any, node: Any, path: tuple[str, ...], lines: dict[tuple[str, ...], int], name: str) -> Any:
    if len(path) > _MAX_DEPTH:
        raise ConfigError(f"{'.'.join(path[:4])}: is nested too deeply", name)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{'.'.join(path) or name}: a key must be text", f"{name}:{line}")
            key = key_node.value  # the text as written: 404 and yes are names here
            if key in found:
                first = lines[(*path, key)]
                raise ConfigError(
                    f"{'.'.join((*path, key))}: given twice, on lines {first} and {line}", f"{name}:{line}"
                )
            lines[(*path, key)] = line
            found[key] = _build(loader, value_node, (*path, key), lines, name)
        return found
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, str(i))] = item.start_mark.line + 1
        return [_build(loader, item, (*path, str(i)), lines, name) for i, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def as_mapping(value: Any, path: str, where: str) -> dict[str, Any]:
    """Return ``value`` as a mapping; None is an empty one (a section whose keys are all commented out)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{'' if path == where else f'{path}: '}expected a mapping, got {shown(value)}", where)
    return value
