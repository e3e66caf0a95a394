"""``logops tail``: follow the stored events, with filters, in colour on a terminal."""

from __future__ import annotations

import argparse
import heapq
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.cli.options import example, load_settings
from logops_fast.cli.output import BOLD, CYAN, DIM, GREEN, RED, YELLOW, is_fancy, paint, warn
from logops_fast.cli.tail_files import Follower, day_files, last_lines
from logops_fast.config.errors import ConfigError
from logops_fast.telemetry.logs import escape

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

_COLOURS: Final = {"TRACE": DIM, "DEBUG": DIM, "INFO": GREEN, "WARN": YELLOW, "ERROR": RED, "FATAL": f"{BOLD};{RED}"}
_POLL: Final = 0.2  # seconds
# Fields printed first, and values of other fields that carry no information.
_FRONT: Final = frozenset({"ts", "level", "emitter", "msg"})
_UNINFORMATIVE: Final = {"scenario_id": "na", "app": "logops", "source": "ingest"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-n", "--lines", type=int, default=10, metavar="N", help="stored events to show first (10)")
    parser.add_argument("--no-follow", action="store_true", help="stop after them")
    parser.add_argument("--level", type=str.upper, choices=LEVELS, metavar="LEVEL", help="minimum level")
    parser.add_argument("--emitter", action="append", metavar="E", help="only this emitter; may be repeated")
    parser.add_argument("--grep", metavar="REGEX", help="only events whose text or any field matches")
    parser.add_argument("--dir", metavar="DIR", help="directory, overriding sink.dir")
    parser.add_argument("--json", action="store_true", help="print the lines as they are stored")
    example(
        parser, "logops tail --level warn --emitter web\nlogops tail -n 100 --no-follow --grep 'timeout|refused' --json"
    )


def run(args: argparse.Namespace) -> int:
    """Print events, and follow the files until interrupted."""
    directory = Path(load_settings(args, {"sink.dir": args.dir}, quiet=True).settings.sink.dir)
    if args.lines < 0:
        raise ConfigError("--lines must be 0 or more")
    wanted = Filter(args.level, args.emitter, args.grep)
    if not directory.is_dir():
        if args.dir is not None:
            raise ConfigError(f"--dir: {directory} is not a directory")
        # That of the settings is created by the gateway, with the first batch.
        warn(f"{directory} does not exist{'' if args.no_follow else ' yet; waiting for it'}")
    show = print_raw if args.json else print_event
    # The follower is created first, so that lines added while the ends of the files are read are not missed.
    follower = None if args.no_follow else Follower(directory)
    show_all(latest(directory, args.lines, wanted), show)
    if follower is None:
        return 0
    try:
        while True:
            show_all((line for line in follower.poll() if wanted(line)), show)
            time.sleep(_POLL)
    finally:
        follower.close()


class Filter:
    """Decides whether a stored line is shown."""

    __slots__ = ("_emitters", "_levels", "_pattern")

    def __init__(self, level: str | None, emitters: Iterable[str] | None, grep: str | None) -> None:
        self._levels = None if level is None else frozenset(LEVELS[LEVELS.index(level) :])
        self._emitters = None if emitters is None else frozenset(emitters)
        try:
            self._pattern = None if grep is None else re.compile(grep)
        except re.error as error:
            raise ConfigError(f"--grep: not a regular expression: {error}") from None

    def __call__(self, line: bytes) -> bool:
        """Return whether the line is shown."""
        if self._levels is None and self._emitters is None and self._pattern is None:
            return True
        event = _event(line)
        if self._levels is not None and event.get("level") not in self._levels:
            return False
        if self._emitters is not None and event.get("emitter") not in self._emitters:
            return False
        if self._pattern is None:
            return True
        # the decoded message, and the raw line for the other fields
        return bool(
            self._pattern.search(str(event.get("msg", ""))) or self._pattern.search(line.decode("utf-8", "replace"))
        )


def latest(directory: Path, count: int, wanted: Filter) -> list[bytes]:
    """Return the last ``count`` matching lines of the newest day; files of several workers are merged by time."""
    files = day_files(directory)
    day = files[-1].name[:8] if files else ""
    ends = [last_lines(path, count, wanted) for path in files if path.name.startswith(day)]
    if len(ends) == 1:
        return ends[0]
    # Each file keeps its own order: a late event does not move before those stored ahead of it.
    return list(heapq.merge(*ends, key=lambda line: str(_event(line).get("ts", ""))))[-count:] if count else []


def show_all(lines: Iterable[bytes], show: Any) -> None:
    """Print lines and flush, so that the reader of a pipe gets them at once."""
    for line in lines:
        show(line)
    sys.stdout.flush()


def print_raw(line: bytes) -> None:
    """Print the line as it is stored."""
    sys.stdout.write(line.decode("utf-8", "replace") + "\n")


def print_event(line: bytes) -> None:
    """Print the time, level, emitter, message and the other fields."""
    event = _event(line)
    if not event:
        print(escape(line.decode("utf-8", "replace")))
        return
    fancy = is_fancy()
    level = str(event.get("level", ""))
    rest = " ".join(
        f"{key}={value if isinstance(value, str) else orjson.dumps(value).decode()}"
        for key, value in event.items()
        if key not in _FRONT and _UNINFORMATIVE.get(key) != value
    )
    words = [
        paint(escape(str(event.get("ts", ""))), DIM, fancy),
        paint(escape(level.ljust(5)), _COLOURS.get(level, BOLD), fancy),
        paint(escape(str(event.get("emitter", ""))), CYAN, fancy),
        escape(str(event.get("msg", ""))),
    ]
    if rest:
        words.append(paint(escape(rest), DIM, fancy))
    print(" ".join(words))


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}
