"""Decode a YAML document into msgspec structs, with the path, the line and the expectation in every error.

msgspec itself stops at the first error with a JSON path and its own wording. Here each value is checked on its own, in
the words of the settings, so that all YAML files of the project report mistakes the same way.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from logops_fast.config.errors import ConfigError, did_you_mean, shown
from logops_fast.config.schema import bare_type, convert_leaf, expected_text
from logops_fast.config.yaml_tree import Tree, as_mapping

StructT = TypeVar("StructT", bound=msgspec.Struct)

Path = tuple[str, ...]


def decode(tree: Tree, kind: type[StructT]) -> StructT:
    """Return the whole document as ``kind``.

    Raises ConfigError if a key is unknown or missing, or a value has the wrong type or is out of bounds.
    """
    return decode_at(tree, (), tree.value, kind)


def decode_at(tree: Tree, path: Path, value: Any, kind: type[StructT]) -> StructT:
    """Return ``value``, which the document holds at ``path``, as ``kind``. Raises ConfigError as ``decode`` does."""
    info = inspect.type_info(kind)
    return cast(StructT, _struct(tree, path, value, cast(inspect.StructType, info)))


def wrong(tree: Tree, path: Path, expected: str) -> ConfigError:
    """Return the error for the value at ``path``, or for its absence."""
    found = tree.value
    for key in path:
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return ConfigError(f"{'.'.join(path)}: expected {expected}; it is missing", tree.where(path))
    return ConfigError(f"{'.'.join(path)}: expected {expected}, got {shown(found)}", tree.where(path))


def _struct(tree: Tree, path: Path, value: Any, info: inspect.StructType) -> msgspec.Struct:
    mapping = as_mapping(value, ".".join(path) or tree.name, tree.where(path))
    fields = {field.name: field for field in info.fields}
    for key in mapping:
        if key not in fields:
            at = (*path, key)
            raise ConfigError(f"{'.'.join(at)}: unknown key{did_you_mean(key, fields)}", tree.where(at))
    for name, field in fields.items():
        if field.required and name not in mapping:
            raise wrong(tree, (*path, name), _expected(field.type))
    found = {key: _value(tree, (*path, key), item, fields[key].type) for key, item in mapping.items()}
    struct: msgspec.Struct = info.cls(**found)
    return struct


def _value(tree: Tree, path: Path, value: Any, info: inspect.Type) -> Any:
    kind = _present(info)
    if isinstance(kind, inspect.StructType):
        return _struct(tree, path, value, kind)
    if isinstance(kind, inspect.DictType):
        return as_mapping(value, ".".join(path), tree.where(path))
    if isinstance(kind, inspect.CollectionType) and isinstance(_present(kind.item_type), inspect.StructType):
        if not isinstance(value, list) or len(value) < _least(info):
            raise wrong(tree, path, _expected(info))
        return tuple(_value(tree, (*path, str(i)), item, kind.item_type) for i, item in enumerate(value))
    if isinstance(kind, inspect.CollectionType):
        if not isinstance(value, list):
            raise wrong(tree, path, _expected(info))
        return tuple(_value(tree, (*path, str(i)), item, kind.item_type) for i, item in enumerate(value))
    try:
        return convert_leaf(kind, value)
    except (msgspec.ValidationError, ValueError):
        raise wrong(tree, path, expected_text(kind)) from None


def _present(info: inspect.Type) -> inspect.Type:
    """Return the type of a value that is given: without ``None``, which only says that it may be left out."""
    info = bare_type(info)
    if isinstance(info, inspect.UnionType):
        kinds = [kind for kind in info.types if not isinstance(bare_type(kind), inspect.NoneType)]
        if len(kinds) == 1:
            return bare_type(kinds[0])
    return info


def _expected(info: inspect.Type) -> str:
    kind = _present(info)
    if isinstance(kind, inspect.StructType):
        return "a mapping"
    if isinstance(kind, inspect.CollectionType):
        item = "mapping" if isinstance(_present(kind.item_type), inspect.StructType) else "value"
        return f"a list of at least one {item}" if _least(info) else f"a list of {item}s"
    return expected_text(kind)


def _least(info: inspect.Type) -> int:
    kind = _present(info)
    return (kind.min_length or 0) if isinstance(kind, inspect.CollectionType) else 0
