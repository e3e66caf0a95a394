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

from logops_fast.ingest import names
from logops_fast.ingest.aliases import Aliases, Layout
from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.levels import BY_NAME, DEFAULT_LEVEL, LEVELS, leading_level, level_of, may_name_level
from logops_fast.ingest.parsers.base import Inherited
from logops_fast.ingest.parsers.level_word import find_level
from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_json, to_lines, to_text
from logops_fast.ingest.settling import (
    apply_own_names,
    drop,
    numbers_of,
    overrule,
    settle_level,
    settle_msg,
    settle_origin,
    settle_ts,
)
from logops_fast.ingest.timestamps import canonical, utc_seconds

DEFAULT_APP: Final = "logops"
DEFAULT_SOURCE: Final = "ingest"

# The separators of YYYY-MM-DDTHH:MM:SS.fZ and YYYY-MM-DDTHH:MM:SSZ are three apart, from the fifth character on.
_WITH_FRACTION: Final = "--T::."
_WHOLE_SECONDS: Final = "--T::Z"
_WHOLE_LENGTH: Final = 20
# fromisoformat ignores what follows the sixth fraction digit, and accepts a dot without any digit.
_SHORTEST: Final = 22
_LONGEST: Final = 27
_NANOSECONDS: Final = 30  # Go and OpenTelemetry write nine digits; the last three are checked by themselves

# Placeholders for the constant fields until the masks are done: bytes that UTF-8 never uses, so no client can send
# them. One for each of: own app and source, no app, no source, neither.
_PLACE_HOLDERS: Final = tuple(orjson.Fragment(place) for place in PLACES)
_NO_APP: Final = 1
_NO_SOURCE: Final = 2

# What is left for _settle to do with an event.
_TS: Final = 1
_LEVEL: Final = 2
_MSG: Final = 4
_ANY: Final = _TS | _LEVEL | _MSG
# The exact name whose value the loop moved to `ts` or `level`. All together fit a byte: CPython keeps small integers.
_FROM_TIMESTAMP: Final = 16
_FROM_TIME: Final = 32
_FROM_AT_TIMESTAMP: Final = 48
_TS_MOVED: Final = 48
_FROM_SEVERITY: Final = 64
_FROM_LVL: Final = 128
_FROM_LOGLEVEL: Final = 192
_LEVEL_MOVED: Final = 192
_MOVED_FROM: Final = {
    _FROM_TIMESTAMP: "timestamp", _FROM_TIME: "time", _FROM_AT_TIMESTAMP: "@timestamp",
    _FROM_SEVERITY: "severity", _FROM_LVL: "lvl", _FROM_LOGLEVEL: "loglevel",
}  # fmt: skip

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

    __slots__ = ("_fraction", "_second", "_seconds", "levels", "masked", "missing_level", "missing_ts")

    def __init__(self, receipt_micros: int) -> None:
        self.levels = dict.fromkeys(LEVELS, 0)
        self.masked: dict[str, int] = {}
        self.missing_ts = 0
        self.missing_level = 0
        self._seconds, self._fraction = divmod(receipt_micros, 1_000_000)
        self._second = ""

    def receipt(self) -> str:
        """Return the time of receipt of the next event without a time: each gets a microsecond of its own."""
        fraction = self._fraction
        if fraction == 1_000_000:
            fraction = 0
            self._seconds += 1
            self._second = ""
        if not self._second:
            self._second = utc_seconds(self._seconds) + "."
        self._fraction = fraction + 1
        # Not :06d: compiled code calls format() for it, which takes longer than all of the rest.
        return self._second + str(1_000_000 + fraction)[1:] + "Z"


class Normaliser:
    """Settles, masks, encrypts and serialises events. Remembers layouts of events (see `aliases`), and no event.

    ``zone``: of times that carry none; ``zones``: by emitter, where it is another one.
    """

    __slots__ = (
        "_encryptor",
        "_layouts",
        "_masker",
        "_skips_settled",
        "_zone",
        "_zones",
        "aliases",
        "own_aliases",
        "secrets",
    )

    def __init__(
        self,
        *,
        mask: bool = True,
        fields: Sequence[str] = (),
        keep: Sequence[str] = (),
        secrets: bool = True,
        encryptor: Encryptor | None = None,
        ts_fields: Sequence[str] = (),
        level_fields: Sequence[str] = (),
        msg_fields: Sequence[str] = (),
        app_fields: Sequence[str] = (),
        zone: tzinfo = UTC,
        zones: dict[str, tzinfo] | None = None,
    ) -> None:
        self._masker = Masker(fields, keep, secrets=secrets, aliases=names.SETTLED_AS) if mask else None
        # A time and a level in their settled forms hold nothing to mask, unless they are named.
        self._skips_settled = not (
            self._masker is None or self._masker.is_named("ts") or self._masker.is_named("level")
        )
        self._encryptor = encryptor
        self.secrets = secrets
        self.aliases = Aliases()
        self._layouts = self.aliases.layouts
        own = (ts_fields, level_fields, msg_fields, app_fields)
        self.own_aliases = Aliases.of_settings(*own) if any(own) else None
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
        zone = self.zone_of(emitter)
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

    def zone_of(self, emitter: str) -> tzinfo:
        """Return the zone of an emitter's times that carry none."""
        return self._zones.get(emitter, self._zone)

    def is_utc(self, emitter: str) -> bool:
        """Return whether an emitter's times without a zone are in UTC."""
        return self.zone_of(emitter) is UTC

    @property
    def masks(self) -> bool:
        """Whether anything is masked."""
        return self._masker is not None

    @property
    def has_own_names(self) -> bool:
        """Whether the settings name fields to mask or to keep."""
        return self._masker is not None and self._masker.has_own_names

    @property
    def is_plain(self) -> bool:
        """Whether nothing is encrypted, and no names of the settings go before those of `names`."""
        return self._encryptor is None and self.own_aliases is None

    def leaves(self, names: list[str]) -> list[bool]:
        """Return whether a member of each name is stored under it, and nothing is masked because of it."""
        plain = [
            name.isascii() and name.isprintable() and '"' not in name and "\\" not in name and bool(name)
            for name in names
        ]
        if self._masker is None or not any(plain):
            return plain
        return [one and clean for one, clean in zip(plain, self._masker.leaves(names), strict=True)]

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
        if self.own_aliases is not None:
            for event in events:
                apply_own_names(event, self.own_aliases, zone)
        for event in events:
            # The exact names inline: a call for each costs more than all the rest. Whatever is not as usual (an empty
            # value, another name, another form) is left to _settle, which looks again.
            todo = 0
            ts = event.get("ts")
            if ts is None:
                if "timestamp" in event:
                    event["ts"] = ts = event.pop("timestamp")
                    todo = _FROM_TIMESTAMP
                elif "time" in event:
                    event["ts"] = ts = event.pop("time")
                    todo = _FROM_TIME
                elif "@timestamp" in event:
                    event["ts"] = ts = event.pop("@timestamp")
                    todo = _FROM_AT_TIMESTAMP
            if type(ts) is str:
                shape = ts[4:20:3]
                if (
                    (shape == _WITH_FRACTION and _SHORTEST <= len(ts) <= _LONGEST and ts[-1] == "Z")
                    or (shape == _WHOLE_SECONDS and len(ts) == _WHOLE_LENGTH)
                    or (
                        len(ts) == _NANOSECONDS and shape == _WITH_FRACTION and ts[-1] == "Z" and _are_digits(ts[26:29])
                    )
                ):
                    try:
                        read(ts)
                    except ValueError:
                        todo |= _TS
                else:
                    todo |= _TS
            else:
                todo |= _TS

            level = event.get("level")
            if level is None:
                if "severity" in event and "lvl" not in event:
                    event["level"] = level = event.pop("severity")
                    todo |= _FROM_SEVERITY
                elif "lvl" in event:
                    event["level"] = level = event.pop("lvl")
                    todo |= _FROM_LVL
                elif "loglevel" in event:
                    event["level"] = level = event.pop("loglevel")
                    todo |= _FROM_LOGLEVEL
            if type(level) is str and level in counts:
                counts[level] += 1
            elif type(level) is str and level in by_name:
                event["level"] = level = by_name[level]
                counts[level] += 1
            else:
                todo |= _LEVEL

            msg = event.get("msg")
            if msg is None and "message" in event:
                event["msg"] = msg = event.pop("message")
            if type(msg) is not str or not msg:
                todo |= _MSG

            if todo and todo & _ANY:
                self._settle(event, todo, zone, tally)

            if encryptor is not None:
                encryptor.add_tokens(event)

            if "emitter" in event or "scenario_id" in event:
                overrule(event, "emitter", emitter)
                overrule(event, "scenario_id", scenario_id)
            variant = 0
            own = event.get("app")
            if type(own) is not str or not own:
                variant = _NO_APP
                if "app" in event:
                    drop(event, "app")
            if "source" not in event:
                variant |= _NO_SOURCE
            else:
                own = event["source"]
                if type(own) is not str or not own:
                    variant |= _NO_SOURCE
                    drop(event, "source")
            event["emitter"] = holders[variant]

        lines = to_lines(events)
        if self._masker is not None:
            if self._skips_settled:
                for event in events:
                    del event["ts"], event["level"]
            lines = self._masker.mask_lines(lines, events, tally.masked)
        return _with_constants(lines, emitter, scenario_id)

    def mask_settled(self, lines: bytes, masked: dict[str, int], *, emitter: str, scenario_id: str) -> bytes:
        """Return lines of settled events masked; adds to ``masked`` by kind.

        The lines are as orjson writes them, the last member ``emitter`` with a placeholder as its value, and no name in
        them is masked.
        """
        if self._masker is not None:
            lines = self._masker.mask_lines(lines, [], masked)
        return _with_constants(lines, emitter, scenario_id)

    def _settle(self, event: dict[str, Any], todo: int, zone: tzinfo, tally: _Tally) -> None:
        """Settle what the loop could not: ``todo`` says what, and which exact names it has moved."""
        layout: Layout | None = None
        own_ts = own_level = ts = level = msg = None
        if todo & _TS:
            own_ts = event.get("ts")
            if type(own_ts) is Inherited:
                event["ts"] = ts = canonical(own_ts.value, zone) or tally.receipt()
                tally.missing_ts += 1
            elif own_ts is not None:
                ts = canonical(own_ts, zone)
                if ts is not None:
                    event["ts"] = ts
                elif todo & _TS_MOVED:
                    event[_MOVED_FROM[todo & _TS_MOVED]] = event.pop("ts")
        if todo & _LEVEL:  # before a time is moved: MongoDB's `s` is a level beside its `t` alone
            own_level = event.get("level")
            if type(own_level) is Inherited:
                level = level_of(own_level.value) or DEFAULT_LEVEL
                tally.missing_level += 1
            elif own_level is not None:
                level = level_of(own_level, numbers_of(event))
                if level is None and todo & _LEVEL_MOVED:
                    event[_MOVED_FROM[todo & _LEVEL_MOVED]] = event.pop("level")
            if level is None:
                layout = self._layouts.get(tuple(event)) or self.aliases.layout(event)
                if own_level is not None or layout.has_level:
                    level = settle_level(event, layout)
        if todo & _TS and ts is None:
            if layout is None:
                layout = self._layouts.get(tuple(event)) or self.aliases.layout(event)
            if own_ts is not None or layout.ts:
                ts = settle_ts(event, layout, zone)
            if ts is None:
                tally.missing_ts += 1
                event["ts"] = tally.receipt()
        if todo & _MSG:
            own = event.get("msg")
            if own is not None and own != "":
                event["msg"] = to_text(own)
            else:
                if layout is None:
                    layout = self._layouts.get(tuple(event)) or self.aliases.layout(event)
                msg = settle_msg(event, layout)
        elif todo & _LEVEL:
            msg = event["msg"]
        if todo & _LEVEL:
            if level is None and msg:
                level = level_in(msg)
            if not level:
                tally.missing_level += 1
                level = DEFAULT_LEVEL
            event["level"] = level
            tally.levels[level] += 1
        if layout is not None and layout.has_origin:
            settle_origin(event, layout)


def level_in(msg: str) -> str | None:
    """Return the level that a message names; None or empty if it names none."""
    level = leading_level(msg)
    if level is None and may_name_level(msg):
        level = find_level(msg)
    return level


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _with_constants(lines: bytes, emitter: str, scenario_id: str) -> bytes:
    """Lines with their placeholders replaced."""
    for variant, place in enumerate(PLACES):
        if place in lines:
            lines = lines.replace(place, constants(emitter, scenario_id, variant))
    return lines


def constants(emitter: str, scenario_id: str, variant: int) -> bytes:
    """Return what replaces a placeholder: the value and the members that follow ``"emitter":``."""
    members = {"": emitter, "scenario_id": scenario_id}
    if variant & _NO_APP:
        members["app"] = DEFAULT_APP
    if variant & _NO_SOURCE:
        members["source"] = DEFAULT_SOURCE
    return to_json(members)[len(b'{"":') : -1]
