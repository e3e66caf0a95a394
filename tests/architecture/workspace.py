"""Reads the model of workspace.dsl: elements, properties and relations, in the part of Structurizr's DSL it uses.

tests/architecture/test_pictures.py compares the result with what Structurizr's own parser reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KINDS = {
    "person": "Person",
    "softwareSystem": "SoftwareSystem",
    "container": "Container",
    "component": "Component",
}
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([{}=])|(->)|([^\s{}="]+)')


@dataclass
class Element:
    """A box: its kind, its name, the identifiers of itself and of its parent, its properties."""

    kind: str
    name: str
    identifier: str
    parent: str
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrow:
    """A relation between two identifiers, with its own tags."""

    source: str
    target: str
    tags: frozenset[str]


@dataclass
class Workspace:
    """Elements by their full identifier (``logops.auth.retry``), and the explicit relations between them."""

    elements: dict[str, Element]
    arrows: list[Arrow]


def statements(text: str) -> Iterator[list[str]]:
    """Yield the words of each line, quotes removed; comments and directives (``!docs``) are left out."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", "//", "!")):
            yield [next(group for group in found.groups() if group is not None) for found in _TOKEN.finditer(stripped)]


def read(path: Path) -> Workspace:
    """Read the ``model`` block of a workspace. Raises ValueError if it is missing or has an unknown statement."""
    workspace = Workspace({}, [])
    blocks: list[str] = []  # the kind or keyword of each open block
    parents: list[str] = []  # identifiers of the open elements
    for words in statements(path.read_text("utf-8")):
        if words == ["}"]:
            closed = blocks.pop()
            if closed == "model":
                return workspace
            if closed in KINDS:
                parents.pop()
            continue
        opens = words[-1] == "{"
        words = words[:-1] if opens else words
        inside = "model" in blocks
        if inside and "deploymentEnvironment" not in blocks:
            _statement(words, opens, blocks, parents, workspace)
        elif opens:
            blocks.append(_keyword(words))
    raise ValueError(f"{path}: no whole model block")


def _keyword(words: list[str]) -> str:
    return words[2] if words[1:2] == ["="] else words[0]


def _statement(words: list[str], opens: bool, blocks: list[str], parents: list[str], workspace: Workspace) -> None:
    keyword = _keyword(words)
    if words[1:2] == ["->"]:
        source, _, target, *rest = words
        tags = rest[2].split(",") if len(rest) > 2 else []
        workspace.arrows.append(Arrow(source, target, frozenset(tags)))
    elif keyword in KINDS:
        parent = parents[-1] if parents else ""
        identifier = f"{parent}.{words[0]}" if parent else words[0]
        workspace.elements[identifier] = Element(KINDS[keyword], words[3], identifier, parent)
        if opens:
            blocks.append(keyword)
            parents.append(identifier)
    elif keyword in ("properties", "deploymentEnvironment", "group"):
        blocks.append(keyword)
    elif blocks[-1] == "properties":
        name, value = words
        workspace.elements[parents[-1]].properties[name] = value
    else:
        raise ValueError(f"workspace.dsl: a statement that the tests cannot read: {' '.join(words)}")
