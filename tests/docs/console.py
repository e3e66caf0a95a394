"""Blocks of commands in documents, and how they are run.

    ```console run              each `$ command` is run, in order, in a folder that the document keeps
    ```console run gateway      the same, with `logops up` serving in that folder
    ```console run repository   the same, at the root of the repository and with the developers' tools
    ```console not-run: reason  commands that a test cannot run, and why

In a block without a `$` each line is a command. Lines below a `$ command` are
what it prints: `...` means any text, alone on a line any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", "build", "dist", "data", "node_modules", ".hypothesis"}
TIMEOUT = 300  # seconds

_FENCE = re.compile(r"^( *)```console[ ]?(.*?)\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    command: str
    expected: tuple[str, ...]


class Block(NamedTuple):
    """A fenced block: its place, its marker, its steps."""

    path: Path
    line: int
    marker: str
    steps: tuple[Step, ...]

    @property
    def runs(self) -> bool:
        return self.marker.split()[:1] == ["run"]

    @property
    def gateway(self) -> bool:
        return self.runs and "gateway" in self.marker.split()

    @property
    def at_root(self) -> bool:
        return self.runs and "repository" in self.marker.split()

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    found: list[Path] = []
    # Folders of others are not entered: what Hypothesis keeps comes and goes while other tests run.
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.startswith(".venv")]
        found += [Path(folder) / name for name in files if name.endswith(".md")]
    return sorted(found)


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text("utf-8")
    for found in _FENCE.finditer(text):
        indent, marker, body = found.groups()
        line = text.count("\n", 0, found.start()) + 1
        yield Block(path, line, marker.strip(), tuple(_steps([row.removeprefix(indent) for row in body.splitlines()])))


def _steps(rows: list[str]) -> Iterator[Step]:
    if not any(row.startswith("$ ") for row in rows):
        yield from (Step(row, ()) for row in rows if row.strip())
        return
    command: list[str] = []
    expected: list[str] = []
    for row in rows:
        if command and command[-1].endswith("\\"):
            command.append(row.removeprefix("> "))
        elif row.startswith("$ "):
            if command:
                yield Step("\n".join(command), tuple(expected))
            command, expected = [row[2:]], []
        elif row.strip():
            expected.append(row.rstrip())
    if command:
        yield Step("\n".join(command), tuple(expected))


def run(step: Step, folder: Path, env: Mapping[str, str], replaced: Mapping[str, str]) -> str:
    """Run a command with nothing but ``env``, and return its output.

    The default ports' addresses are replaced: a test takes free ones.
    """
    command = step.command
    for old, new in replaced.items():
        command = command.replace(old, new)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"$ {step.command}\n{done.stdout}exit code {done.returncode}"
    return done.stdout


def shows(expected: tuple[str, ...], output: str) -> bool:
    """Whether the output is what the document shows; nothing shown means that it does not matter."""
    if not expected:
        return True
    pattern = ""
    for row in expected:
        if row.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(piece) for piece in row.split("...")) + r"[ ]*\n"
    rows = "".join(f"{row.rstrip()}\n" for row in output.splitlines() if row.strip())
    return re.fullmatch(pattern, rows) is not None
