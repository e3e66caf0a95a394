"""Commands in a real terminal: tmux, whose screen is read as text."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.services import require_service

PATIENCE = 60.0  # seconds; far above what anything here takes


class Terminal:
    """A command in a tmux session of its own."""

    def __init__(self, folder: Path, columns: int, rows: int, command: str, env: dict[str, str]) -> None:
        self._tmux = [require_service("tmux"), "-f", "/dev/null", "-S", str(folder / "tmux")]
        self._env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env}
        self._run("new-session", "-d", "-x", str(columns), "-y", str(rows), command)

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, env=self._env, check=True)
        return done.stdout

    def keys(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def until(self, holds: Callable[[str], object]) -> str:
        """Return the screen once ``holds`` says so."""
        deadline = time.monotonic() + PATIENCE
        while not holds(text := self.text()):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        return text

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, env=self._env, check=False)
