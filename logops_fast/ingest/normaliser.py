"""Normaliser: one event in, one line of JSON out, with its fields settled and its personal data masked.

This is the hot loop of the product. An event whose ``ts``, ``level`` and ``msg`` are in order is only looked at; one
that has them under another name or in another form is settled by ``_settle``. The fields that come from the request are
one byte in each line while the masks scan it, and are written in afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

import orjson

from logops_fast.ingest import aliases
from logops_fast.ingest.aliases import Aliases, Layout
from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.levels import BY_NAME, DEFAULT_LEVEL, LEVELS, MONOLOG, SYSLOG, USUAL, level_of
from logops_fast.ingest.names import LEVEL_NAMES, TS_NAMES
from logops_fast.ingest.parsers.level_word import level_word
from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_json, to_lines, to_text
from logops_fast.ingest.timestamps import LEAST_NUMBER, canonical, of_receipt

DEFAULT_APP: Final = "logops"
DEFAULT_SOURCE: Final = "ingest"

# The separators of YYYY-MM-DDTHH:MM:SS.fZ and YYYY-MM-DDTHH:MM:SSZ are three apart, from the fifth character on.
_WITH_FRACTION: Final = "--T::."
_WHOLE_SECONDS: Final = "--T::Z"
_WHOLE_LENGTH: Final = 20
# fromisoformat ignores what follows the sixth fraction digit, and accepts a dot without any digit.
_SHORTEST: Final = 22
_LONGEST: Final = 27

# Placeholders for the constant fields until the masks are done: bytes that UTF-8 never uses, so no client can send
# them. One for each of: own app and source, no app, no source, neither.
_PLACE_HOLDERS: Final = tuple(orjson.Fragment(place) for place in PLACES)
_NO_APP: Final = 1
_NO_SOURCE: Final = 2

# What is left for _settle to do with an event.
_TS: Final = 1
_LEVEL: Final = 2
_MSG: Final = 4

CHUNK: Final = 128
"""Events that are settled, serialised and masked together: what five patterns scan should still lie in the cache."""
_GONE: Final[dict[str, Any]] = {}


class Normalised(NamedTuple):
    """A batch ready to be stored.

    ``lines``: one JSON object a line, each ended by a newline, UTF-8. ``missing_ts`` and ``missing_level`` count the
    values that were absent, unreadable or unknown; ``levels`` and ``masked`` (by kind: email, ipv4, ipv6, card, token,
    field) hold what occurred.
    """

    lines: bytes
    count: int  # type: ignore[assignment]  # hides tuple.count, which is never called on a batch
    missing_ts: int
    missing_level: int
    levels: dict[str, int]
    masked: dict[str, int]


class _Tally:
    """What is counted while a batch is normalised (see Normalised), and the time of receipt of its next event."""

    __slots__ = ("levels", "masked", "missing_level", "missing_ts", "receipt_micros")

    def __init__(self, receipt_micros: int) -> None:
        self.levels = dict.fromkeys(LEVELS, 0)
        self.masked: dict[str, int] = {}
        self.missing_ts = 0
        self.missing_level = 0
        self.receipt_micros = receipt_micros


class Normaliser:
    """Settles, masks, encrypts and serialises events. Remembers layouts of events (see `aliases`), and no event.

    ``zone``: of times that carry none; ``zones``: by emitter, where it is another one.
    """

    __slots__ = ("_aliases", "_encryptor", "_looks_for_app", "_masker", "_own_level", "_own_msg", "_own_ts", "_zone",
                 "_zones")  # fmt: skip

    def __init__(
        self,
        *,
        mask: bool = True,
        fields: Sequence[str] = (),
        encryptor: Encryptor | None = None,
        ts_fields: Sequence[str] = (),
        level_fields: Sequence[str] = (),
        msg_fields: Sequence[str] = (),
        app_fields: Sequence[str] = (),
        zone: tzinfo = UTC,
        zones: dict[str, tzinfo] | None = None,
    ) -> None:
        self._masker = Masker(fields) if mask else None
        self._encryptor = encryptor
        self._aliases = Aliases(ts=ts_fields, level=level_fields, msg=msg_fields, app=app_fields)
        self._own_ts = bool(ts_fields)
        self._own_level = bool(level_fields)
        self._own_msg = bool(msg_fields)
        self._looks_for_app = bool(app_fields)
        self._zone = zone
        self._zones = zones or {}

    def run(
        self,
        events: list[dict[str, Any]],
        *,
        emitter: str,
        scenario_id: str,
        received_at: float,
        receipts_before: int = 0,
    ) -> Normalised:
        """Normalise a batch, or a part of one; the events are used up.

        ``received_at``: seconds since 1970. Each event without a time of its own gets a microsecond of its own, counted
        from there; ``receipts_before``: how many events did in the parts before (the sum of their ``missing_ts``).
        """
        tally = _Tally(round(received_at * 1e6) + receipts_before)
        zone = self._zones.get(emitter, self._zone)
        total = len(events)
        if total <= CHUNK:
            lines = self._chunk(events, emitter, scenario_id, zone, tally)
        else:
            parts = []
            for at in range(0, total, CHUNK):
                parts.append(self._chunk(events[at : at + CHUNK], emitter, scenario_id, zone, tally))
                # Freed while they are in the cache: at the end each would have to be fetched once more.
                events[at : at + CHUNK] = [_GONE] * min(CHUNK, total - at)
            lines = b"".join(parts)
        levels = {level: n for level, n in tally.levels.items() if n}
        return Normalised(lines, total, tally.missing_ts, tally.missing_level, levels, tally.masked)

    def mask_text(self, text: str) -> str:
        """Return raw text, such as an event that could not be read, masked as a string value is."""
        return text if self._masker is None else self._masker.mask_text(text)

    def _chunk(
        self, events: list[dict[str, Any]], emitter: str, scenario_id: str, zone: tzinfo, tally: _Tally
    ) -> bytes:
        """Some of a batch's events as finished lines."""
        if not events:
            return b""
        counts = tally.levels
        read = datetime.fromisoformat
        by_name = BY_NAME
        encryptor = self._encryptor
        holders = _PLACE_HOLDERS
        own_ts, own_level, own_msg, looks_for_app = (
            self._own_ts, self._own_level, self._own_msg, self._looks_for_app,
        )  # fmt: skip
        for event in events:
            # The exact names inline: a call for each costs more than all the rest. Whatever is not as usual (an empty
            # value, another name, another form) is left to _settle, which looks again.
            todo = 0
            ts = event.get("ts")
            ts_name = level_name = ""
            if ts is None and not own_ts:
                if "timestamp" in event:
                    ts_name = "timestamp"
                elif "time" in event:
                    ts_name = "time"
                elif "@timestamp" in event:
                    ts_name = "@timestamp"
                if ts_name:
                    event["ts"] = ts = event.pop(ts_name)
            if type(ts) is str:
                shape = ts[4:20:3]
                if (shape == _WITH_FRACTION and _SHORTEST <= len(ts) <= _LONGEST and ts[-1] == "Z") or (
                    shape == _WHOLE_SECONDS and len(ts) == _WHOLE_LENGTH
                ):
                    try:
                        read(ts)
                    except ValueError:
                        todo = _TS
                else:
                    todo = _TS
            else:
                todo = _TS

            level = event.get("level")
            if level is None and not own_level:
                if "severity" in event and "lvl" not in event:
                    level_name = "severity"
                elif "lvl" in event:
                    level_name = "lvl"
                elif "loglevel" in event:
                    level_name = "loglevel"
                if level_name:
                    event["level"] = level = event.pop(level_name)
            if type(level) is str and level in counts:
                counts[level] += 1
            elif type(level) is str and level in by_name:
                event["level"] = level = by_name[level]
                counts[level] += 1
            else:
                todo |= _LEVEL

            msg = event.get("msg")
            if msg is None and "message" in event and not own_msg:
                event["msg"] = msg = event.pop("message")
            if type(msg) is not str or not msg:
                todo |= _MSG

            if todo:
                self._settle(event, todo, ts_name, level_name, zone, tally)
            elif looks_for_app and not event.get("app"):
                self._settle_app(event, self._aliases.layout(event))

            if encryptor is not None:
                encryptor.add_tokens(event)

            if "emitter" in event or "scenario_id" in event:
                _overrule(event, "emitter", emitter)
                _overrule(event, "scenario_id", scenario_id)
            variant = 0
            own = event.get("app")
            if type(own) is not str or not own:
                variant = _NO_APP
                if "app" in event:
                    _drop(event, "app")
            if "source" not in event:
                variant |= _NO_SOURCE
            else:
                own = event["source"]
                if type(own) is not str or not own:
                    variant |= _NO_SOURCE
                    _drop(event, "source")
            event["emitter"] = holders[variant]

        lines = to_lines(events)
        if self._masker is not None:
            lines = self._masker.mask_lines(lines, events, tally.masked)
        for variant, place in enumerate(PLACES):
            if place in lines:
                lines = lines.replace(place, _constants(emitter, scenario_id, variant))
        return lines

    def _settle(
        self, event: dict[str, Any], todo: int, ts_name: str, level_name: str, zone: tzinfo, tally: _Tally
    ) -> None:
        """Settle what the loop could not: ``todo`` of _TS, _LEVEL and _MSG.

        ``ts_name`` and ``level_name``: the exact names whose values the loop moved to ``ts`` and ``level``, or empty.
        """
        layout: Layout | None = None
        ts = level = None
        if todo & _TS:
            ts = canonical(event.get("ts"), zone)
            if ts is not None:
                event["ts"] = ts
            elif ts_name:
                event[ts_name] = event.pop("ts")
        if todo & _LEVEL:  # before a time is moved: MongoDB's `s` is a level beside its `t` alone
            value = event.get("level")
            level = level_of(value, _numbers(event)) if value is not None and value != "" else None
            if level is None:
                if level_name:
                    event[level_name] = event.pop("level")
                layout = self._aliases.layout(event)
                level = _settle_level(event, layout)
        if todo & _TS and ts is None:
            if layout is None:
                layout = self._aliases.layout(event)
            _settle_ts(event, layout, zone, tally)
        if todo & _MSG:
            msg = event.get("msg")
            if msg is not None and msg != "":
                event["msg"] = to_text(msg)
                msg = None
            else:
                if layout is None:
                    layout = self._aliases.layout(event)
                msg = _settle_msg(event, layout)
        else:
            msg = event["msg"]
        if todo & _LEVEL:
            if level is None and msg:
                word = level_word(msg)
                level = None if word is None else level_of(word)
            if not level:
                tally.missing_level += 1
                level = DEFAULT_LEVEL
            event["level"] = level
            tally.levels[level] += 1
        if layout is None and self._looks_for_app:
            layout = self._aliases.layout(event)
        if layout is not None:
            self._settle_app(event, layout)

    def _settle_app(self, event: dict[str, Any], layout: Layout) -> None:
        """Take ``app``, ``host`` and ``pid`` from their other names."""
        for name, candidates in (("app", layout.app), ("host", layout.host), ("pid", layout.pid)):
            if candidates and (event.get(name) is None or event[name] == ""):
                found = aliases.find_text(event, candidates)
                if found is not None:
                    _move(event, name, found)


def _move(event: dict[str, Any], name: str, found: aliases.Found) -> None:
    """Store a value that was found under another name; a key of its own is renamed, an object stays whole."""
    candidate = found.candidate
    if candidate.key and not candidate.path:
        event.pop(candidate.key, None)
    event[name] = found.value


def _settle_ts(event: dict[str, Any], layout: Layout, zone: tzinfo, tally: _Tally) -> None:
    """Settle the time of an event whose ``ts`` is absent or does not read."""
    found = aliases.find_ts(event, layout, zone)
    own = event.pop("ts", None)
    if found is not None:
        _move(event, "ts", found)
    else:
        if own is None or own == "":
            own = _unreadable(event, TS_NAMES)
        tally.missing_ts += 1
        event["ts"] = of_receipt(tally.receipt_micros)
        tally.receipt_micros += 1
    if own is not None and own != "":
        _keep(event, "ts_raw", own)


def _settle_level(event: dict[str, Any], layout: Layout) -> str | None:
    """Return the level of an event whose ``level`` is absent or does not read, from another name.

    Empty if the event has a level that does not read, which is kept as ``level_raw``; None if it has none at all.
    """
    found = aliases.find_level(event, layout)
    own = event.pop("level", None)
    if found is not None:
        _move(event, "level", found)
    elif own is None or own == "":
        own = _unreadable(event, LEVEL_NAMES)
    if own is not None and own != "":
        _keep(event, "level_raw", own)
        return "" if found is None else found.value
    return None if found is None else found.value


def _unreadable(event: dict[str, Any], exact_names: tuple[str, ...]) -> Any:
    """Take out the first value under an exact name, which was meant for the field and does not read.

    A number that is no time stays: an access log's ``time`` is how long the request took.
    """
    for name in exact_names:
        value = event.get(name)
        if value is not None and value != "":
            if exact_names is TS_NAMES and type(value) in (int, float) and 0 <= value < LEAST_NUMBER:
                continue
            del event[name]
            return value
    return None


def _settle_msg(event: dict[str, Any], layout: Layout) -> str | None:
    """Settle the message of an event whose ``msg`` is absent or empty; the text it is, None if it is none."""
    found = aliases.find_msg(event, layout)
    if found is None:
        event["msg"] = ""
        return None
    is_text = isinstance(aliases.value_at(event, found.candidate), str)
    _move(event, "msg", found)
    return found.value if is_text else None


def _numbers(event: dict[str, Any]) -> str:
    """The scale of a number under ``level``: it goes by what else the event has."""
    if "level_name" in event:
        return MONOLOG
    return SYSLOG if "short_message" in event else USUAL


def _keep(event: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value that was overruled, under a name that is free."""
    while name in event:
        name += "_raw"
    event[name] = value


def _overrule(event: dict[str, Any], name: str, value: str) -> None:
    """Take the event's own ``name`` out, since the request's wins. One that says something else is kept as ``_raw``."""
    own = event.pop(name, None)
    if own is not None and own != "" and own != value:
        _keep(event, name + "_raw", own)


def _drop(event: dict[str, Any], name: str) -> None:
    """Take out an ``app`` or ``source`` that is no text; one that says something is kept as ``_raw``."""
    own = event.pop(name)
    if own is not None and own != "":
        _keep(event, name + "_raw", own)


def _constants(emitter: str, scenario_id: str, variant: int) -> bytes:
    """Return what replaces a placeholder: the value and the members that follow ``"emitter":``."""
    members = {"": emitter, "scenario_id": scenario_id}
    if variant & _NO_APP:
        members["app"] = DEFAULT_APP
    if variant & _NO_SOURCE:
        members["source"] = DEFAULT_SOURCE
    return to_json(members)[len(b'{"":') : -1]
