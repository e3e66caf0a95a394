"""Finds ``ts``, ``level``, ``msg`` and a few others in an event that has them under another name.

Which keys of an event are candidates depends on its keys alone, and the events of one logger all have the same few sets
of keys: what was found out for a set is remembered (a `Layout`), so that an event costs one look-up, not one a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Any, Final, NamedTuple

from logops_fast.ingest import names
from logops_fast.ingest.levels import DEFAULT_LEVEL, USUAL, level_of
from logops_fast.ingest.serialiser import to_text
from logops_fast.ingest.timestamps import canonical

_MOST_LAYOUTS: Final = 512  # remembered; a sender of ever new keys makes them be found out again, no more
_LONGEST_LAYOUT: Final = 2048  # characters of all keys together; of a longer one nothing is remembered
_LONGEST_NAME: Final = 128
_OTEL: Final = frozenset(
    ("timeunixnano", "time_unix_nano", "observedtimeunixnano", "severitynumber", "severity_number", "severitytext")
)


class Candidate(NamedTuple):
    """A place where a field may be: a key of the event, and the dotted path below it (empty: the key's own value)."""

    key: str
    path: str
    rule: str
    alias: str
    """The name as it stands in the table or the settings."""


Found = tuple[Candidate, str]
"""A value that reads: where it was, and what it becomes. Made for most events of some loggers, so a bare tuple."""


class Layout(NamedTuple):
    """The candidates of a set of keys, in order of preference."""

    ts: tuple[Candidate, ...]
    level: tuple[Candidate, ...]
    msg: tuple[Candidate, ...]
    app: tuple[Candidate, ...]
    host: tuple[Candidate, ...]
    pid: tuple[Candidate, ...]
    is_clef: bool
    """Whether the event is CLEF, which leaves the level out when it is Information."""
    is_otel: bool
    has_level: bool
    """Whether there is a candidate for ``level``, or its absence says what it is."""
    has_origin: bool
    """Whether there is a candidate for ``app``, ``host`` or ``pid``."""


class _Entry(NamedTuple):
    """A name of the table, as it begins with the key that it is filed under."""

    field: int
    rank: int
    path: str
    alias: names.Alias


def _exact(exact_names: tuple[str, ...], rule: str) -> list[names.Alias]:
    """The exact names, which go before the others. Under ``log`` ECS has an object, so that it must be text."""
    return [names.Alias(name, "", names.TEXT if name in ("log", "text") else rule, cased=True) for name in exact_names]


_TABLES: Final[tuple[Sequence[names.Alias], ...]] = (
    (*_exact(names.TS_NAMES, ""), *names.TS),
    (*_exact(names.LEVEL_NAMES, USUAL), *names.LEVEL),
    (*_exact(names.MSG_NAMES, names.ANY), *names.MSG),
    names.APP,
    names.HOST,
    names.PID,
)


class Aliases:
    """A table of names, and the layouts seen so far: the table of `names`, or a user's own."""

    __slots__ = ("_index", "layouts")

    def __init__(self, tables: Sequence[Sequence[names.Alias]] = _TABLES) -> None:
        """``tables``: one for each of ts, level, msg, app, host and pid."""
        self.layouts: dict[tuple[str, ...], Layout] = {}
        self._index: dict[str, list[_Entry]] = {}
        for field, table in enumerate(tables):
            for rank, alias in enumerate(table):
                self._file(field, rank, alias)

    @classmethod
    def of_settings(cls, ts: Sequence[str], level: Sequence[str], msg: Sequence[str], app: Sequence[str]) -> Aliases:
        """Return the names of ``normalise.*_fields``, in the order given."""
        return cls(
            [
                [names.Alias(name, "", rule) for name in own]
                for own, rule in ((ts, ""), (level, USUAL), (msg, names.ANY), (app, ""))
            ]
        )

    def layout(self, event: dict[str, Any]) -> Layout:
        """Return the candidates of an event, by its keys."""
        keys = tuple(event)
        layout = self.layouts.get(keys)
        if layout is None:
            layout = self._make(keys)
            if sum(map(len, keys)) + 8 * len(keys) <= _LONGEST_LAYOUT:
                if len(self.layouts) >= _MOST_LAYOUTS:
                    self.layouts.clear()
                self.layouts[keys] = layout
        return layout

    def _file(self, field: int, rank: int, alias: names.Alias) -> None:
        """File a name under itself and under each of its beginnings up to a dot."""
        name = alias.name.lower()
        self._index.setdefault(name, []).append(_Entry(field, rank, "", alias))
        at = name.find(".")
        while at >= 0:
            self._index.setdefault(name[:at], []).append(_Entry(field, rank, name[at + 1 :], alias))
            at = name.find(".", at + 1)

    def _make(self, keys: tuple[str, ...]) -> Layout:
        fields: list[list[tuple[int, int, Candidate]]] = [[], [], [], [], [], []]
        lowered = {key.lower(): key for key in keys if len(key) <= _LONGEST_NAME}
        for place, key in enumerate(keys):
            if len(key) > _LONGEST_NAME:
                continue
            for entry in self._index.get(key.lower(), ()):
                alias = entry.alias
                if alias.cased and not key.startswith(alias.name.partition(".")[0]):
                    continue
                if alias.beside and not any(name in lowered for name in alias.beside):
                    continue
                if not entry.path and key == _FIELDS[entry.field]:
                    continue  # the exact name itself, which was looked at first
                candidate = Candidate(key, entry.path, alias.rule, alias.name)
                fields[entry.field].append((entry.rank, place, candidate))
        ordered = [tuple(item[2] for item in sorted(found, key=_by_rank)) for found in fields]
        is_clef = "@t" in lowered
        has_origin = bool(ordered[3] or ordered[4] or ordered[5])
        return Layout(
            ts=ordered[0],
            level=ordered[1],
            msg=ordered[2],
            app=ordered[3],
            host=ordered[4],
            pid=ordered[5],
            is_clef=is_clef,
            is_otel=not _OTEL.isdisjoint(lowered),
            has_level=is_clef or bool(ordered[1]),
            has_origin=has_origin,
        )


_FIELDS: Final = ("ts", "level", "msg", "app", "host", "pid")


def _by_rank(item: tuple[int, int, Candidate]) -> tuple[int, int]:
    return item[0], item[1]


def find_ts(event: dict[str, Any], layout: Layout, zone: tzinfo = UTC) -> Found | None:
    """Return the first candidate that is a time, in canonical form."""
    for candidate in layout.ts:
        value = event.get(candidate.key)
        if candidate.path:
            value = _below(value, candidate.path) if isinstance(value, dict) else None
        if value is not None and value != "":
            if candidate.rule == names.SECONDS:
                value = {"seconds": value, "nanos": event.get("timestampNanos", 0)}
            settled = canonical(value, zone)
            if settled is not None:
                return candidate, settled
    return None


def find_level(event: dict[str, Any], layout: Layout) -> Found | None:
    """Return the first candidate that is a level, as one of LEVELS.

    An event in CLEF without one is of level INFO; that candidate has an empty key.
    """
    for candidate in layout.level:
        value = event.get(candidate.key)
        if candidate.path:
            value = _below(value, candidate.path) if isinstance(value, dict) else None
        if value is not None and value != "":
            level = _read_level(event, value) if candidate.rule == names.MONGODB else level_of(value, candidate.rule)
            if level is not None:
                return candidate, level
    if layout.is_clef:
        return _IMPLIED, DEFAULT_LEVEL
    return None


_IMPLIED: Final = Candidate("", "", "", "@l")


def _read_level(event: dict[str, Any], letter: Any) -> str | None:
    """The letter that is a level beside MongoDB's time, and nothing anywhere else."""
    time = event.get("t")
    if isinstance(letter, str) and isinstance(time, dict) and "$date" in time:
        return level_of(letter)
    return None


def find_msg(event: dict[str, Any], layout: Layout) -> Found | None:
    """Return the first candidate that is a message, as text."""
    for candidate in layout.msg:
        value = event.get(candidate.key)
        if candidate.path:
            value = _below(value, candidate.path) if isinstance(value, dict) else None
        if value is None or value == "":
            continue
        if isinstance(value, str):
            # Docker's json-file keeps the newline that ends a line, and so does loguru.
            if value[-1] == "\n" and candidate.key in ("log", "text"):
                value = value[:-2] if value[-2:] == "\r\n" else value[:-1]
            return candidate, value
        text = _read_message(value, candidate, layout)
        if text is not None:
            return candidate, text
    return None


def is_text(event: dict[str, Any], candidate: Candidate) -> bool:
    """Return whether the value of a place is text as it was sent."""
    value = event.get(candidate.key)
    return isinstance(_below(value, candidate.path) if candidate.path else value, str)


def _read_message(value: Any, candidate: Candidate, layout: Layout) -> str | None:
    """A message that is no text."""
    if candidate.key == "MESSAGE" and isinstance(value, list):
        text = _from_bytes(value)
        if text is not None:
            return text
    if candidate.rule == names.ANY:
        return to_text(value)
    if candidate.rule == names.BODY:
        if isinstance(value, dict) and isinstance(value.get("stringValue"), str):
            return str(value["stringValue"])
        return to_text(value) if layout.is_otel else None
    return None


def _from_bytes(values: list[Any]) -> str | None:
    """journald writes a message that is not clean UTF-8 text as an array of its bytes."""
    try:
        return bytes(values).decode("utf-8", "replace") if values else None
    except (TypeError, ValueError):
        return None


def find_text(event: dict[str, Any], candidates: tuple[Candidate, ...]) -> Found | None:
    """Return the first candidate that is a text and says something (``-`` is syslog's way to say nothing)."""
    for candidate in candidates:
        value = event.get(candidate.key)
        if candidate.path:
            value = _below(value, candidate.path) if isinstance(value, dict) else None
        if isinstance(value, str) and value and value != "-":
            return candidate, value
    return None


def _below(node: Any, path: str) -> Any:
    """The value under a dotted path, in any case, whether its dots nest objects or belong to a key."""
    if not isinstance(node, dict):
        return None
    if path in node:
        return node[path]
    for key in node:
        if len(key) <= len(path) and path.startswith(lowered := key.lower()):
            if len(lowered) == len(path):
                return node[key]
            if path[len(lowered)] == "." and (found := _below(node[key], path[len(lowered) + 1 :])) is not None:
                return found
    return None
