"""The model as workspace.dsl defines it, and the code as its syntax trees show it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.architecture import workspace

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = ROOT / "architecture"
PACKAGE = "logops_fast"

Edge = tuple[str, str]


class Component(NamedTuple):
    """A box of a C3 picture, and the modules it says it is."""

    name: str
    container: str
    module: str
    parts: tuple[str, ...]

    @property
    def claims(self) -> tuple[str, ...]:
        return (self.module, *self.parts)


class Relation(NamedTuple):
    source: str
    target: str
    tags: frozenset[str]


class Model(NamedTuple):
    """What the tests need of workspace.dsl."""

    components: dict[str, Component]
    containers: dict[str, dict[str, str]]
    composition_root: tuple[str, ...]
    relations: tuple[Relation, ...]

    def of(self, container: str) -> list[Component]:
        return [component for component in self.components.values() if component.container == container]

    def between(self, container: str) -> list[Relation]:
        """The relations between two components of a container."""
        names = {component.name for component in self.of(container)}
        return [relation for relation in self.relations if relation.source in names and relation.target in names]


def load(path: Path = ARCHITECTURE / "workspace.dsl") -> Model:
    found = workspace.read(path)
    components, containers, roots = {}, {}, ""
    for element in found.elements.values():
        name = qualified(found, element)
        if element.kind == "Component":
            parent = found.elements[element.parent].name
            parts = tuple(element.properties.get("parts", "").split())
            components[name] = Component(name, parent, element.properties.get("module", ""), parts)
        elif element.kind == "Container":
            containers[name] = element.properties
        else:
            roots = element.properties.get("composition_root", roots)
    relations = tuple(
        Relation(
            qualified(found, found.elements[arrow.source]), qualified(found, found.elements[arrow.target]), arrow.tags
        )
        for arrow in found.arrows
    )
    return Model(components, containers, tuple(roots.split()), relations)


def qualified(found: workspace.Workspace, element: workspace.Element) -> str:
    """Return ``Auth Gateway.Retry`` for a component, the plain name for everything else."""
    parent = found.elements.get(element.parent)
    return f"{parent.name}.{element.name}" if element.kind == "Component" and parent else element.name


class Code:
    """The modules below a folder, and which of them imports which."""

    def __init__(self, root: Path = ROOT, package: str = PACKAGE) -> None:
        self.files: dict[str, Path] = {}
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            self.files[name.removesuffix(".__init__")] = path
        self._package = package
        self._found: dict[str, set[str]] = {}

    def modules(self) -> list[str]:
        """Every module that holds code: packages themselves only where they are no docstring alone."""
        return [name for name, path in self.files.items() if path.name != "__init__.py" or _has_code(path)]

    def below(self, claim: str) -> list[str]:
        """The modules that a claim covers: itself, and what lies below a package."""
        return [name for name in self.files if name == claim or name.startswith(f"{claim}.")]

    def imports(self, module: str) -> set[str]:
        """Modules of the package that a module imports, at its top or in a function, for types alone or not."""
        if module not in self._found:
            self._found[module] = set(self._imports(ast.parse(self.files[module].read_text("utf-8"))))
        return self._found[module]

    def _imports(self, tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == self._package:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in self.files else str(node.module)


def owners(components: list[Component], code: Code) -> dict[str, str]:
    """Module to the component that claims it. A module claimed twice is a mistake of the model."""
    owner: dict[str, str] = {}
    for component in components:
        for claim in component.claims:
            for module in code.below(claim):
                if owner.setdefault(module, component.name) != component.name:
                    raise AssertionError(f"{module} is claimed by {owner[module]} and by {component.name}")
    return owner


def import_edges(components: list[Component], code: Code) -> set[Edge]:
    """Component to component, wherever a module of the one imports one of the other."""
    owner = owners(components, code)
    return {
        (mine, theirs)
        for module, mine in owner.items()
        for imported in code.imports(module)
        if (theirs := owner.get(imported, mine)) != mine
    }


def describe(edges: set[Edge]) -> str:
    return ", ".join(f"{source} -> {target}" for source, target in sorted(edges)) or "none"


def _has_code(path: Path) -> bool:
    body: list[Any] = ast.parse(path.read_text("utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)
