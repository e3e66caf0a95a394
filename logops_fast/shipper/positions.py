"""How far each file is shipped: the positions, their file, and those of other collectors.

A position moves when Loki has answered 204, and only then. The file is replaced as a whole and synced, but not for each
push: it says beforehand how far pushes may go until it is written again (``reserved``). What lies between ``offset``
and ``reserved`` after a crash is *in doubt*: Loki is asked for each line of it before it is pushed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Final

import msgspec
import yaml

from logops_fast.errors import StartupError
from logops_fast.files.replace import replacing

VERSION: Final = 1
FILE: Final = "positions.json"
MODE: Final = 0o640


class Position(msgspec.Struct):
    """The position in one file: ``name`` relative to the sink's directory, offsets in bytes."""

    name: str
    inode: int
    offset: int
    """Where the next line begins that is not known to be in Loki."""
    reserved: int = 0
    """Up to where lines may be in Loki."""
    since: int = 0
    """When the offset was reached, in nanoseconds: lines after it were pushed later."""
    size: int = 0
    """The acknowledged size when it was last looked at."""
    head: str = ""
    """A digest of the first bytes: a deleted file's name and inode may be those of another one soon after."""


class Saved(msgspec.Struct):
    """The contents of the file. ``machine`` is the name that the lines were shipped under."""

    machine: str
    files: list[Position]
    version: int = VERSION


class PositionsError(StartupError):
    """The positions cannot be used."""


def load(path: Path) -> Saved | None:
    """Return the saved positions, or None if there are none yet.

    Raises ValueError if the file is damaged, PositionsError if a newer version wrote it, OSError.
    """
    try:
        blob = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        version = msgspec.json.decode(blob, type=dict[str, Any]).get("version")
        if isinstance(version, int) and version > VERSION:
            raise PositionsError(f"{path} was written by a newer version of LogOps: ship with that version")
        return msgspec.json.decode(blob, type=Saved)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def save(path: Path, saved: Saved) -> None:
    """Replace the file, durably; its directory comes back if it was removed. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mode=MODE) as out:
        out.write(msgspec.json.format(msgspec.json.encode(saved), indent=1))


def foreign_positions(path: Path) -> dict[str, int]:
    """Return the offsets in a positions file of Promtail or Alloy, by the name of the file in the sink's directory.

    Both write YAML with a mapping ``positions``. Promtail's keys are paths; Alloy's are mappings of path and labels
    (loki.source.file, ``internal/component/common/loki/positions``). Paths may be those of a container: only the name
    counts, and whether the folder is ``rejected``. The smallest offset counts if a file has several.

    Raises PositionsError.
    """
    try:
        root = yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise PositionsError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise PositionsError(f"{path} is not YAML: {error}") from None
    found: dict[str, int] = {}
    for node, value in _members(_member(root, "positions")):
        key = _member(node, "path") if isinstance(node, yaml.MappingNode) else node
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            continue
        pure = PurePath(key.value)
        if pure.suffix != ".ndjson" or not value.value.isdigit():
            continue
        name = f"rejected/{pure.name}" if pure.parent.name == "rejected" else pure.name
        found[name] = min(int(value.value), found.get(name, int(value.value)))
    if not found:
        raise PositionsError(f"{path} has no position of a file of the gateway's: is it the file of Promtail or Alloy?")
    return found


def _members(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next(
        (value for key, value in _members(node) if isinstance(key, yaml.ScalarNode) and key.value == name), None
    )
