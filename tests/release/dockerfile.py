"""Executes the build stage of deploy/Dockerfile without a container engine, its absolute paths moved into a folder."""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.release.fresh import ROOT, base_python, environment, run

MOVED = re.compile(r"(?<![\w.])/(src|opt|wheels)\b")


class Instruction(NamedTuple):
    word: str
    text: str


def stages(text: str) -> list[list[Instruction]]:
    """Return the instructions of each stage, with continued lines joined and comments left out."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    found: list[list[Instruction]] = []
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                found.append([])
            if found:
                found[-1].append(Instruction(word, rest.strip()))
    return found


def ignored(path: str) -> bool:
    """Return whether .dockerignore keeps a path out of the build: the last line that matches decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        keep, pattern = line.startswith("!"), line.removeprefix("!")
        if (
            path == pattern
            or path.startswith(f"{pattern}/")
            or fnmatch.fnmatch(path, pattern.removeprefix("**/"))
            or fnmatch.fnmatch(path.rpartition("/")[2], pattern.removeprefix("**/"))
        ):
            verdict = not keep
    return verdict


class Builder:
    """Executes instructions in ``folder``, which stands for the root of the image's file system."""

    def __init__(self, folder: Path, **arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(base_python())
        self._env = environment(folder / "bin")
        self._cwd = folder
        self.skipped: list[str] = []

    def execute(self, stage: list[Instruction]) -> None:
        """Execute a stage; RUN lines that install Debian packages need the image, and are kept in ``skipped``."""
        for word, text in stage:
            match word:
                case "ENV":
                    # The cache of pip changes what is downloaded, not what is built.
                    self._env |= {n: v for n, v in self._pairs(text) if n != "PIP_NO_CACHE_DIR"}
                case "ARG":
                    name, _, default = text.partition("=")
                    self._env[name] = self._arguments.get(name, default)
                case "WORKDIR":
                    self._cwd = Path(self._moved(text))
                    self._cwd.mkdir(parents=True)
                case "COPY":
                    self._copy(*text.split())
                case "RUN" if "apt-get" in text:
                    self.skipped.append(text)
                case "RUN":
                    run(self._moved(text), self._cwd, self._env)
                case "FROM":
                    pass
                case _:
                    raise NotImplementedError(f"{word} in the build stage")

    def _moved(self, text: str) -> str:
        return MOVED.sub(lambda found: f"{self._folder}/{found[1]}", text)

    @staticmethod
    def _pairs(text: str) -> Iterator[tuple[str, str]]:
        for pair in text.split():
            name, _, value = pair.partition("=")
            yield name, value

    def _copy(self, *words: str) -> None:
        *sources, target = words
        for source in sources:
            to = self._cwd / target if target.endswith("/") is False else self._cwd / target / Path(source).name
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, self._cwd / target, ignore=self._leave_out, dirs_exist_ok=True)
            else:
                assert not ignored(source), f".dockerignore leaves {source} out"
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, to)

    @staticmethod
    def _leave_out(folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(ROOT)
        return [name for name in names if ignored((inside / name).as_posix())]
