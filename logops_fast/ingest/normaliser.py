"""Normaliser: one event in, one line of JSON out, with its settled fields settled and its personal data masked.

This is the hot loop of the product. An event that has its ``ts``, ``level`` and ``msg`` in order is only looked at; the
fields that are the request's own are one byte in each line while the patterns scan it, and are written in afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.levels import BY_NAME, DEFAULT_LEVEL, LEVELS, level_of
from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_json, to_lines, to_text
from logops_fast.ingest.timestamps import canonical, of_receipt

TS_ALIASES: Final = ("timestamp", "time", "@timestamp")
LEVEL_ALIASES: Final = ("lvl", "severity", "loglevel")
MSG_ALIASES: Final = ("message", "log", "text")
MSG_NAMES: Final = dict.fromkeys(MSG_ALIASES, "msg")

DEFAULT_APP: Final = "logops"
DEFAULT_SOURCE: Final = "ingest"

# The separators of YYYY-MM-DDTHH:MM:SS.fZ and YYYY-MM-DDTHH:MM:SSZ stand three apart, from the fifth character on.
_WITH_FRACTION: Final = "--T::."
_WHOLE_SECONDS: Final = "--T::Z"
_WHOLE_LENGTH: Final = 20
# Past six digits, fromisoformat no longer looks at them; without a digit after the dot it does not mind.
_SHORTEST: Final = 22
_LONGEST: Final = 27

# What stands for the constant fields until the masks are done: a byte that UTF-8 never uses, so no client can send it.
# One for each of: own app and source, no app, no source, neither.
_PLACE_HOLDERS: Final = tuple(orjson.Fragment(place) for place in PLACES)
_NO_APP: Final = 1
_NO_SOURCE: Final = 2

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
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a batch
    missing_ts: int
    missing_level: int
    levels: dict[str, int]
    masked: dict[str, int]


class _Tally:
    """What is counted while a batch is normalised; see Normalised."""

    __slots__ = ("levels", "masked", "missing_level", "missing_ts")

    def __init__(self) -> None:
        self.levels = dict.fromkeys(LEVELS, 0)
        self.masked: dict[str, int] = {}
        self.missing_ts = 0
        self.missing_level = 0


class Normaliser:
    """Settles, masks, encrypts and serialises events. Holds no state between batches."""

    __slots__ = ("_encryptor", "_masker")

    def __init__(
        self,
        *,
        mask: bool = True,
        fields: Sequence[str] = (),
        keep: Sequence[str] = (),
        secrets: bool = True,
        encryptor: Encryptor | None = None,
    ) -> None:
        self._masker = Masker(fields, keep, secrets=secrets, aliases=MSG_NAMES) if mask else None
        self._encryptor = encryptor

    def run(self, events: list[dict[str, Any]], *, emitter: str, scenario_id: str, received_at: float) -> Normalised:
        """Normalises a batch. ``received_at`` is in epoch seconds; the events are used up."""
        tally = _Tally()
        total = len(events)
        if total <= CHUNK:
            lines = self._chunk(events, emitter, scenario_id, received_at, tally)
        else:
            parts = []
            for at in range(0, total, CHUNK):
                parts.append(self._chunk(events[at : at + CHUNK], emitter, scenario_id, received_at, tally))
                # Let go of while they are in the cache: at the end each would have to be fetched once more.
                events[at : at + CHUNK] = [_GONE] * min(CHUNK, total - at)
            lines = b"".join(parts)
        levels = {level: n for level, n in tally.levels.items() if n}
        return Normalised(lines, total, tally.missing_ts, tally.missing_level, levels, tally.masked)

    def mask_text(self, text: str) -> str:
        """Raw text, such as an event that could not be read, masked as a string value is."""
        return text if self._masker is None else self._masker.mask_text(text)

    def _chunk(
        self, events: list[dict[str, Any]], emitter: str, scenario_id: str, received_at: float, tally: _Tally
    ) -> bytes:
        """Some of a batch's events as finished lines."""
        if not events:
            return b""
        counts = tally.levels
        missing_ts = missing_level = 0
        read = datetime.fromisoformat
        by_name = BY_NAME
        encryptor = self._encryptor
        holders = _PLACE_HOLDERS
        for event in events:
            # The aliases in line, a call for each costs more than all the rest: what is not as usual (an empty value, a
            # second alias, another form) goes to _settle_*, which look again.
            ts = event.get("ts")
            if ts is None:
                if "timestamp" in event:
                    event["ts"] = ts = event.pop("timestamp")
                elif "time" in event:
                    event["ts"] = ts = event.pop("time")
                elif "@timestamp" in event:
                    event["ts"] = ts = event.pop("@timestamp")
            if type(ts) is str:
                shape = ts[4:20:3]
                if (shape == _WITH_FRACTION and _SHORTEST <= len(ts) <= _LONGEST and ts[-1] == "Z") or (
                    shape == _WHOLE_SECONDS and len(ts) == _WHOLE_LENGTH
                ):
                    try:
                        read(ts)
                    except ValueError:
                        missing_ts += _settle_ts(event, ts, received_at)
                else:
                    missing_ts += _settle_ts(event, ts, received_at)
            else:
                missing_ts += _settle_ts(event, ts, received_at)

            level = event.get("level")
            if level is None:
                if "severity" in event and "lvl" not in event:
                    event["level"] = level = event.pop("severity")
                elif "lvl" in event:
                    event["level"] = level = event.pop("lvl")
                elif "loglevel" in event:
                    event["level"] = level = event.pop("loglevel")
            if type(level) is str and level in counts:
                counts[level] += 1
            elif type(level) is str and level in by_name:
                event["level"] = level = by_name[level]
                counts[level] += 1
            else:
                missing_level += _settle_level(event, level)
                counts[event["level"]] += 1

            msg = event.get("msg")
            if msg is None and "message" in event:
                event["msg"] = msg = event.pop("message")
            if type(msg) is not str or not msg:
                _settle_msg(event, msg)

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

        tally.missing_ts += missing_ts
        tally.missing_level += missing_level
        lines = to_lines(events)
        if self._masker is not None:
            lines = self._masker.mask_lines(lines, events, tally.masked)
        for variant, place in enumerate(PLACES):
            if place in lines:
                lines = lines.replace(place, _constants(emitter, scenario_id, variant))
        return lines


def _take(event: dict[str, Any], name: str, aliases: tuple[str, ...]) -> Any:
    """The value under the first alias that has one, which is moved to ``name``; None (and no ``name``) without one."""
    for alias in aliases:
        value = event.get(alias)
        if value is not None and value != "":
            del event[alias]
            event[name] = value
            return value
    event.pop(name, None)
    return None


def _keep(event: dict[str, Any], name: str, value: Any) -> None:
    """Keeps a value that was overruled, under a name that is free."""
    while name in event:
        name += "_raw"
    event[name] = value


def _settle_ts(event: dict[str, Any], ts: Any, received_at: float) -> bool:
    """Settles a ``ts`` that is not canonical; whether it counts as missing."""
    if ts is None or ts == "":
        ts = _take(event, "ts", TS_ALIASES)
        if ts is None:
            event["ts"] = of_receipt(received_at)
            return True
    settled = canonical(ts)
    if settled is not None:
        event["ts"] = settled
        return False
    _keep(event, "ts_raw", ts)
    event["ts"] = of_receipt(received_at)
    return True


def _settle_level(event: dict[str, Any], name: Any) -> bool:
    """Settles a ``level`` that is no usual word; whether it counts as missing."""
    if name is None or name == "":
        name = _take(event, "level", LEVEL_ALIASES)
        if name is None:
            event["level"] = DEFAULT_LEVEL
            return True
    level = level_of(name)
    if level is not None:
        event["level"] = level
        return False
    _keep(event, "level_raw", name)
    event["level"] = DEFAULT_LEVEL
    return True


def _settle_msg(event: dict[str, Any], msg: Any) -> None:
    """Settles a ``msg`` that is no text, or none at all."""
    if msg is None or msg == "":
        msg = _take(event, "msg", MSG_ALIASES)
        if msg is None:
            msg = ""
    event["msg"] = msg if isinstance(msg, str) else to_text(msg)


def _overrule(event: dict[str, Any], name: str, value: str) -> None:
    """Takes the event's own ``name`` out: the request's stands. One that says something else is kept as ``_raw``."""
    own = event.pop(name, None)
    if own is not None and own != "" and own != value:
        _keep(event, name + "_raw", own)


def _drop(event: dict[str, Any], name: str) -> None:
    """Takes out an ``app`` or ``source`` that is no text; one that says something is kept as ``_raw``."""
    own = event.pop(name)
    if own is not None and own != "":
        _keep(event, name + "_raw", own)


def _constants(emitter: str, scenario_id: str, variant: int) -> bytes:
    """What a place is held for: the value and the members that follow ``"emitter":``."""
    members = {"": emitter, "scenario_id": scenario_id}
    if variant & _NO_APP:
        members["app"] = DEFAULT_APP
    if variant & _NO_SOURCE:
        members["source"] = DEFAULT_SOURCE
    return to_json(members)[len(b'{"":') : -1]
