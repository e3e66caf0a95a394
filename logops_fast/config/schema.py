"""The settings' types as a tree that the loader walks: the type of each path, and its description for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from logops_fast.config.errors import ConfigError, did_you_mean, shown
from logops_fast.config.settings import Settings

Path = tuple[str, ...]

_WORDS: Final = {True: "true", False: "false"}


class Leaf(NamedTuple):
    """One value: its type, the expectation that messages state, its description, and whether it is secret."""

    type: inspect.Type
    expected: str
    description: str
    secret: bool

    def check(self, value: Any, path: Path, where: str) -> Any:
        """Return the value converted to its type. Raises ConfigError if it does not fit."""
        try:
            settled = convert_leaf(self.type, value)
        except (msgspec.ValidationError, ValueError):
            # a secret is never shown, not even an invalid one
            got = "" if self.secret else f", got {shown(value)}"
            raise ConfigError(f"{'.'.join(path)}: expected {self.expected}{got}", where) from None
        return settled


class Branch(NamedTuple):
    """A section with fixed keys."""

    children: dict[str, Leaf | Branch | Open]


class Open(NamedTuple):
    """A mapping whose keys the user chooses."""

    child: Leaf | Branch


Node = Leaf | Branch | Open


@lru_cache(maxsize=1)
def schema() -> Branch:
    """Return the tree of ``Settings``."""
    node = _node(inspect.type_info(Settings), "", False)
    assert isinstance(node, Branch)  # noqa: S101 - for the type checker
    return node


def leaves(node: Node | None = None, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Yield every leaf with a fixed path, in the order of the types."""
    node = schema() if node is None else node
    if isinstance(node, Leaf):
        yield path, node
    elif isinstance(node, Branch):
        for name, child in node.children.items():
            yield from leaves(child, (*path, name))


def leaf_at(path: Path) -> Leaf:
    """Return the leaf at a path. Raises KeyError if there is none."""
    node: Node = schema()
    for name in path:
        if isinstance(node, Leaf):
            break  # the key of an open mapping had dots in it
        node = node.child if isinstance(node, Open) else node.children[name]
    if not isinstance(node, Leaf):
        raise KeyError(path)
    return node


def child_of(node: Branch | Open, key: str, path: Path, where: str) -> Node:
    """Return the child of the node at ``path``. Raises ConfigError, with the closest known key, if there is none."""
    if isinstance(node, Open):
        return node.child
    try:
        return node.children[key]
    except KeyError:
        full = ".".join((*path, key))
        raise ConfigError(f"{full}: unknown key{did_you_mean(key, node.children)}", where) from None


def to_settings(values: Mapping[Path, Any]) -> Settings:
    """Return the settings made of checked leaf values."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        at = tree
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    tree["ratelimit"].setdefault("overrides", {})  # removed on purpose: the default must not return
    return msgspec.convert(tree, Settings)


def _node(info: inspect.Type, description: str, secret: bool) -> Node:
    while isinstance(info, inspect.Metadata):
        description = (info.extra_json_schema or {}).get("description", description)
        secret = secret or bool((info.extra or {}).get("secret"))
        info = info.type
    if isinstance(info, inspect.StructType):
        return Branch({f.name: _node(f.type, "", False) for f in info.fields})
    if isinstance(info, inspect.DictType):
        child = _node(info.value_type, "", False)
        assert not isinstance(child, Open)  # noqa: S101 - for the type checker
        return Open(child)
    return Leaf(info, expected_text(info), description, secret)


def bare_type(info: inspect.Type) -> inspect.Type:
    """Return the type without its ``Meta`` wrappers."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


_CHARACTERS: Final = {None: "characters", r"^[!-~]*$": "visible ASCII characters"}
"""What a text is made of, by its pattern."""


def expected_text(info: inspect.Type) -> str:
    """Return what a value of this type must be, as messages say it: ``an integer >= 1``."""
    info = bare_type(info)
    if isinstance(info, inspect.IntType):
        return "an integer" + _bounds(info)
    if isinstance(info, inspect.FloatType):
        return "a number" + _bounds(info)
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.StrType):
        longest = f" of at most {info.max_length} {_CHARACTERS[info.pattern]}" if info.max_length else ""
        return ("text that is not empty" if info.min_length else "text") + longest
    if isinstance(info, inspect.LiteralType):
        # msgspec sorts the values and keeps their original order nowhere
        words = [str(value) for value in info.values]
        return words[0] if len(words) == 1 else "one of " + ", ".join(words)
    if isinstance(info, inspect.UnionType):
        return " or ".join(expected_text(member) for member in info.types)
    if isinstance(info, inspect.CollectionType):
        return "a list of texts"
    raise TypeError(f"no wording for {info}")


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    low, high = info.ge, info.le
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if info.gt is not None and high is not None:
        return f" > {info.gt:g} and <= {high:g}"
    if low is not None:
        return f" >= {low:g}"
    return f" > {info.gt:g}" if info.gt is not None else ""


def convert_leaf(info: inspect.Type, value: Any) -> Any:
    """Convert one value strictly: an integer is also a number, ``true`` is not an integer.

    Raises ValueError if the value does not fit.
    """
    info = bare_type(info)
    if isinstance(info, inspect.UnionType):
        for member in info.types:
            try:
                return convert_leaf(member, value)
            except ValueError:
                continue
        raise ValueError(value)
    if isinstance(info, inspect.BoolType):
        return _must(value, isinstance(value, bool))
    if isinstance(info, inspect.StrType):
        _must(value, isinstance(value, str) and len(value) >= (info.min_length or 0) and "\x00" not in value)
        _must(value, info.max_length is None or len(value) <= info.max_length)
        return _must(value, info.pattern is None or re.search(info.pattern, value) is not None)
    if isinstance(info, inspect.LiteralType):
        return _must(value, value in info.values and isinstance(value, str))
    if isinstance(info, inspect.CollectionType):
        return _must(value, isinstance(value, list) and all(isinstance(item, str) and item for item in value))
    _must(value, isinstance(value, (int, float)) and not isinstance(value, bool))
    if isinstance(info, inspect.IntType):
        _must(value, isinstance(value, int) and abs(value) < 1 << 63)
    elif isinstance(info, inspect.FloatType):
        _must(value, abs(value) <= sys.float_info.max)  # neither infinite, nor NaN, nor an integer past every float
        value = float(value)
    _must(value, info.ge is None or value >= info.ge)  # type: ignore[attr-defined]
    _must(value, info.gt is None or value > info.gt)  # type: ignore[attr-defined]
    return _must(value, info.le is None or value <= info.le)  # type: ignore[attr-defined]


def _must(value: Any, good: bool) -> Any:
    if not good:
        raise ValueError(value)
    return value
