"""The last stored lines, read from the ends of the newest files: the cost does not grow with what is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
READ_BYTES: Final = 131_072
"""Bytes that are read of the end of each file: some 500 lines."""
MAX_FILES: Final = 16
SHOWN: Final = 60
_MAX_TEXT: Final = 2_000  # characters of a line
_FRONT: Final = frozenset({"ts", "level", "emitter", "msg"})
_SPACE: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


@dataclass(frozen=True)
class LineFilter:
    """Which lines are shown: of a level or a worse one, of an emitter, with a text in any field (in any case)."""

    level: str = ""
    emitter: str = ""
    text: str = ""

    def __call__(self, event: dict[str, Any], raw: str) -> bool:
        """Return whether a line is shown."""
        if self.level and str(event.get("level")) not in LEVELS[LEVELS.index(self.level) :]:
            return False
        if self.emitter and event.get("emitter") != self.emitter:
            return False
        return self.text.casefold() in raw.casefold()


def recent(files: Callable[[], Sequence[Path]], wanted: LineFilter, count: int = SHOWN) -> list[dict[str, Any]]:
    """Return the last events that are ``wanted``, the newest first. ``files`` lists the day's files, oldest first."""
    paths = files()
    day = paths[-1].name[:8] if paths else ""
    found = []
    for path in [path for path in paths if path.name.startswith(day)][-MAX_FILES:]:
        for raw in _last(path):
            event = _event(raw)
            if wanted(event, raw.decode("utf-8", "replace")):
                found.append(event)
    found.sort(key=lambda event: str(event.get("ts", "")))
    return found[-count:][::-1]


def as_html(events: Iterable[dict[str, Any]]) -> str:
    """Return the events as list items, escaped; control characters, which would be drawn as nothing, as blanks."""
    return "".join(_item(event) for event in events)


def _item(event: dict[str, Any]) -> str:
    level = str(event.get("level", ""))
    known = level if level in LEVELS else "INFO"
    rest = {key: value for key, value in event.items() if key not in _FRONT}
    return (
        f'<li><time>{_text(event.get("ts", ""))}</time> <b class="level {known.lower()}">{_text(level)}</b> '
        f'<span class="emitter">{_text(event.get("emitter", ""))}</span> <span>{_text(event.get("msg", ""))}</span>'
        f' <span class="rest">{_text(_pairs(rest))}</span></li>'
    )


def _pairs(fields: dict[str, Any]) -> str:
    return " ".join(
        f"{key}={value if isinstance(value, str) else orjson.dumps(value).decode()}" for key, value in fields.items()
    )


def _text(value: object) -> str:
    text = _SPACE.sub(" ", str(value))
    return escape(text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…")


def _last(path: Path) -> list[bytes]:
    """Return the complete lines in the last bytes of a file."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            start = max(0, end - READ_BYTES)
            file.seek(start)
            data = file.read(READ_BYTES)
    except OSError:  # archived since it was listed
        return []
    lines = data.split(b"\n")
    return [line for line in lines[1 if start else 0 : -1] if line]


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {"msg": line.decode("utf-8", "replace")}
    return event if isinstance(event, dict) else {"msg": line.decode("utf-8", "replace")}
