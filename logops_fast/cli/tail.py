"""``logops tail``: follow the stored events, with filters, in colour on a terminal."""

from __future__ import annotations

import argparse
import heapq
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.cli.options import example, load_settings
from logops_fast.cli.output import BOLD, CYAN, DIM, GREEN, RED, YELLOW, is_fancy, paint, warn
from logops_fast.cli.tail_files import Follower, day_files, last_lines, lines_since
from logops_fast.config.errors import ConfigError
from logops_fast.ingest.sink.day_files import REJECTED_DIR
from logops_fast.telemetry.logs import escape

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

_COLOURS: Final = {"TRACE": DIM, "DEBUG": DIM, "INFO": GREEN, "WARN": YELLOW, "ERROR": RED, "FATAL": f"{BOLD};{RED}"}
_POLL: Final = 0.2  # seconds
_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# Fields printed first, and values of other fields that carry no information.
_FRONT: Final = frozenset({"ts", "level", "emitter", "msg"})
_UNINFORMATIVE: Final = {"scenario_id": "na", "app": "logops", "source": "ingest"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "-n", "--lines", type=int, metavar="N", help="stored events to show first (10; with --since all of that time)"
    )
    parser.add_argument(
        "--since", metavar="T", help="events from then on: 10m, 2h, 1d ago, or a time such as 2026-01-31T12:00:00Z"
    )
    parser.add_argument("--rejected", action="store_true", help="events that could not be read, and why")
    parser.add_argument("--no-follow", action="store_true", help="stop after them")
    parser.add_argument("--level", type=str.upper, choices=LEVELS, metavar="LEVEL", help="minimum level")
    parser.add_argument("--emitter", action="append", metavar="E", help="only this emitter; may be repeated")
    parser.add_argument("--grep", metavar="REGEX", help="only events whose text or any field matches")
    parser.add_argument("--dir", metavar="DIR", help="directory, overriding sink.dir")
    parser.add_argument("--json", action="store_true", help="print the lines as they are stored")
    example(
        parser,
        "logops tail --level warn --emitter web\n"
        "logops tail --since 10m --rejected\n"
        "logops tail -n 100 --no-follow --grep 'timeout|refused' --json",
    )


def run(args: argparse.Namespace) -> int:
    """Print events, and follow the files until interrupted."""
    directory = Path(load_settings(args, {"sink.dir": args.dir}, quiet=True).settings.sink.dir)
    if args.lines is not None and args.lines < 0:
        raise ConfigError("--lines must be 0 or more")
    if args.rejected and args.level is not None:
        raise ConfigError("--level: events that could not be read have none")
    since = None if args.since is None else moment(args.since, time.time())
    wanted = Filter(args.level, args.emitter, args.grep)
    if not directory.is_dir():
        if args.dir is not None:
            raise ConfigError(f"--dir: {directory} is not a directory")
        # That of the settings is created by the gateway, with the first batch.
        warn(f"{directory} does not exist{'' if args.no_follow else ' yet; waiting for it'}")
    if args.rejected:
        directory /= REJECTED_DIR
    show = print_raw if args.json else print_rejected if args.rejected else print_event
    # The follower is created first, so that lines added while the ends of the files are read are not missed.
    follower = None if args.no_follow else Follower(directory)
    if since is None:
        show_all(latest(directory, 10 if args.lines is None else args.lines, wanted), show)
    else:
        found = stored_since(directory, since, wanted)
        show_all(found if args.lines is None else deque(found, args.lines), show)
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


def moment(text: str, now: float) -> str:
    """Return the time that ``--since`` means, in UTC without its Z; ``now`` is in epoch seconds. Raises ConfigError."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            then = datetime.fromtimestamp(now - int(ago[1]) * _SECONDS[ago[2]], UTC)
        else:
            then = datetime.fromisoformat(text)
            then = then.replace(tzinfo=UTC) if then.tzinfo is None else then.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"--since: expected 10m, 2h, 1d or a time such as 2026-01-31T12:00:00Z, got {text!r}"
        ) from None
    return then.isoformat(timespec="microseconds").removesuffix("+00:00").rstrip("0").rstrip(".")


def stored_since(directory: Path, since: str, wanted: Filter) -> Iterator[bytes]:
    """Return the matching lines whose time is ``since`` or later, of all days from then on, merged by time."""

    def is_recent(line: bytes) -> bool:
        # Without the Z, text of any precision is ordered as the times are.
        return str(_event(line).get("ts", "")).removesuffix("Z") >= since

    day = since[:10].replace("-", "")
    files = [path for path in day_files(directory) if path.name[:8] >= day]
    lines = heapq.merge(
        *(lines_since(path, is_recent) for path in files), key=lambda line: str(_event(line).get("ts", ""))
    )
    return filter(wanted, lines)


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


def print_rejected(line: bytes) -> None:
    """Print the time, reason, emitter, and the text that could not be read."""
    event = _event(line)
    fancy = is_fancy()
    words = [
        paint(escape(str(event.get("ts", ""))), DIM, fancy),
        paint(escape(str(event.get("reason", ""))), RED, fancy),
        paint(escape(str(event.get("emitter", ""))), CYAN, fancy),
        escape(str(event.get("text", ""))),
    ]
    place = f"batch_id={event.get('batch_id', '')} index={event.get('index', '')}"
    print(" ".join((*words, paint(escape(place), DIM, fancy))))


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
