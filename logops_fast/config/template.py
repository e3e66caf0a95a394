"""The settings as a commented YAML file to start from, and as a JSON Schema. Both are made from the types."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml

from logops_fast import __version__
from logops_fast.config.settings import Settings

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
WIDTH: Final = 100

_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_REF: Final = "#/$defs/"
_HEAD: Final = f"""\
# Settings of LogOps Fast {__version__}, made by `logops config --yaml`.
#
# A line that begins with # and a name is a setting with its default: remove the # to change it. All may be left out.
# `logops check` checks the file, `logops config --changed` prints what differs from the defaults, and
# `logops config --schema` is a JSON Schema for editors. Each setting has an environment variable, which wins:
# LOGOPS_SERVER__WORKERS=4. Durations are in seconds, sizes in bytes, paths relative to the working directory.
"""


def yaml_template() -> str:
    """Return every setting with its default and description: the file is valid as it is, and changes nothing."""
    schema, defaults = json_schema(), Settings()
    lines = [_HEAD]
    for name, section in _properties(schema, schema):
        lines += [*_section(schema, name, section, getattr(defaults, name), 0), ""]
    return "\n".join(lines)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the file. What must fit together, such as ports, only the loader checks."""
    schema: dict[str, Any] = msgspec.json.schema(Settings)
    for definition in schema["$defs"].values():
        definition["type"] = ["object", "null"]  # a section whose settings are all commented out
        definition.pop("required", None)
        for member in definition["properties"].values():
            if "$ref" in member:
                member.pop("default", None)  # its members have theirs
            if member.get("type") == "array":
                member["items"] |= {"minLength": 1}
            if "description" in member:
                member["description"] = _plain(member["description"])
    return {"$schema": DIALECT, "title": f"Settings of LogOps Fast {__version__}", **schema}


def _properties(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].removeprefix(_REF)]
    yield from node["properties"].items()


def _section(
    schema: Mapping[str, Any], name: str, section: Mapping[str, Any], defaults: msgspec.Struct, depth: int
) -> Iterator[str]:
    """Yield the lines of a section: its name is no comment, so that one line is enough to change a setting.

    ``defaults`` is its struct: the schema leaves those out that a factory makes.
    """
    definition = schema["$defs"][section["$ref"].removeprefix(_REF)]
    yield from _comment(section.get("description", definition.get("description", "")), depth)
    yield f"{'  ' * depth}{name}:"
    for key, member in _properties(schema, section):
        if "$ref" in member:
            yield from _section(schema, key, member, getattr(defaults, key), depth + 1)
        else:
            yield from _comment(member.get("description", ""), depth + 1)
            default = msgspec.to_builtins(getattr(defaults, key))
            yield f"{'  ' * (depth + 1)}#{key}: {_value(default)}"


def _value(default: Any) -> str:
    """Return a default as YAML on one line, so that it is uncommented at once."""
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return yaml.safe_dump([default], default_flow_style=True, width=10_000, allow_unicode=True).strip()[1:-1]


def _comment(text: str, depth: int) -> Iterator[str]:
    indent = f"{'  ' * depth}# "
    for line in textwrap.wrap(_plain(text), WIDTH - len(indent), break_on_hyphens=False):
        yield indent + line


def _plain(text: str) -> str:
    """Return a description without the links of the reference page."""
    return _LINK.sub(r"\1", text)
