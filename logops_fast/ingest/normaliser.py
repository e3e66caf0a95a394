"""Normaliser: one event in, one line of JSON out, with its fields settled and its personal data masked.

This is the hot loop of the product. An event whose ``ts``, ``level`` and ``msg`` are in order is only looked at; one
that has them under other names or in other forms is settled by what is known of its names (`fast_layouts`), and what is
left by `settling`. The fields that come from the request are one byte in each line while the masks scan it, and are
written in afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import orjson

from logops_fast.ingest import names
from logops_fast.ingest.aliases import Aliases
from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.fast_layouts import UNSETTLED, FastLayouts
from logops_fast.ingest.levels import BY_NAME
from logops_fast.ingest.parsers.json_values import check_writable
from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.plans import NO_APP, NO_SOURCE
from logops_fast.ingest.serialiser import as_lines, to_json, to_lines
from logops_fast.ingest.settled_times import (
    LONGEST,
    SHORTEST,
    WHOLE_LENGTH,
    WHOLE_SECONDS,
    WITH_FRACTION,
    has_nanoseconds,
)
from logops_fast.ingest.settling import apply_own_names, drop, overrule, settle
from logops_fast.ingest.tally import Tally

DEFAULT_APP: Final = "logops"
DEFAULT_SOURCE: Final = "ingest"

# Placeholders for the constant fields until the masks are done: bytes that UTF-8 never uses, so no client can send
# them. One for each of: own app and source, no app, no source, neither.
_PLACE_HOLDERS: Final = tuple(orjson.Fragment(place) for place in PLACES)
CHUNK: Final = 128
"""Events that are settled, serialised and masked together: what five patterns scan should still lie in the cache."""
_GONE: Final[dict[str, Any]] = {}
_MOST_CONSTANTS: Final = 1024  # remembered; a scenario is whatever its sender calls it


class Normalised:
    """A batch ready to be stored.

    ``lines``: one JSON object a line, each ended by a newline, UTF-8. ``missing_ts`` and ``missing_level`` count the
    values that were absent, unreadable or unknown; ``levels`` and ``masked`` (by kind: email, ipv4, ipv6, card, token,
    field) hold what occurred.
    """

    __slots__ = ("count", "levels", "lines", "masked", "missing_level", "missing_ts")

    def __init__(
        self,
        lines: bytes,
        count: int,
        missing_ts: int,
        missing_level: int,
        levels: dict[str, int],
        masked: dict[str, int],
    ) -> None:
        self.lines = lines
        self.count = count
        self.missing_ts = missing_ts
        self.missing_level = missing_level
        self.levels = levels
        self.masked = masked

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Normalised) and self.lines == other.lines and self.counts == other.counts

    def __repr__(self) -> str:
        return f"<Normalised {self.counts}: {self.lines[:200]!r}>"

    @property
    def counts(self) -> tuple[int, int, int, dict[str, int], dict[str, int]]:
        """All but the lines, in the order of the arguments."""
        return self.count, self.missing_ts, self.missing_level, self.levels, self.masked


class Normaliser:
    """Settles, masks, encrypts and serialises events. Remembers layouts (see `aliases`, `fast_layouts`), and no event.

    ``zone``: of times that carry none; ``zones``: by emitter, where it is another one.
    """

    __slots__ = (
        "_constants",
        "_encryptor",
        "_fast",
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
        self._constants: dict[tuple[str, str, int], bytes] = {}
        self.secrets = secrets
        self.aliases = Aliases()
        self._fast = FastLayouts(self.aliases)
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
        checked: bool = True,
    ) -> Normalised:
        """Normalise a batch, or a part of one; the events are used up.

        ``received_at``: seconds since 1970. Each event without a time of its own gets a microsecond of its own, counted
        from there; ``receipts_before``: how many events did in the parts before (the sum of their ``missing_ts``).
        ``checked``: that the events can be written as they are is known; if not, and one cannot, it raises
        orjson.JSONEncodeError.
        """
        tally = Tally(received_at, receipts_before)
        zone = self.zone_of(emitter)
        total = len(events)
        if total <= CHUNK:
            lines = self._chunk(events, emitter, scenario_id, zone, tally, checked)
        else:
            parts = []
            for at in range(0, total, CHUNK):
                parts.append(self._chunk(events[at : at + CHUNK], emitter, scenario_id, zone, tally, checked))
                # Freed while they are in the cache: at the end each would have to be fetched once more.
                events[at : at + CHUNK] = [_GONE] * min(CHUNK, total - at)
            lines = b"".join(parts)
        return Normalised(lines, total, tally.missing_ts, tally.missing_level, tally.levels, tally.masked)

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
        self,
        events: list[dict[str, Any]],
        emitter: str,
        scenario_id: str,
        zone: tzinfo,
        tally: Tally,
        checked: bool,
    ) -> bytes:
        """Some of a batch's events as finished lines."""
        if not events:
            return b""
        counts = tally.levels
        read = datetime.fromisoformat
        by_name = BY_NAME
        encryptor = self._encryptor
        holders = _PLACE_HOLDERS
        layouts = self._fast.known
        fast = 0
        by_layout = False  # whether the event before was settled so: then the exact names are seldom there
        if self.own_aliases is not None:
            for event in events:
                apply_own_names(event, self.own_aliases, zone)
        for event in events:
            if by_layout:
                layout = layouts.get(tuple(event))
                if layout is not None:
                    variant = layout.settle(event, zone, tally)
                    if variant != UNSETTLED:
                        fast += 1
                        if encryptor is not None:
                            encryptor.add_tokens(event)
                        event["emitter"] = holders[variant]
                        continue
                by_layout = False
            # The exact names inline: a call for each costs more than all the rest.
            ts = event.get("ts")
            ts_from = ""
            if ts is None:
                if "timestamp" in event:
                    ts_from = "timestamp"
                elif "time" in event:
                    ts_from = "time"
                elif "@timestamp" in event:
                    ts_from = "@timestamp"
                if ts_from:
                    ts = event[ts_from]
            level = event.get("level")
            level_from = ""
            if level is None:
                if "lvl" in event:
                    level_from = "lvl"
                elif "severity" in event:
                    level_from = "severity"
                elif "loglevel" in event:
                    level_from = "loglevel"
                if level_from:
                    level = event[level_from]
            msg = event.get("msg")
            msg_from = ""
            if msg is None and "message" in event:
                msg_from = "message"
                msg = event["message"]
            known: str | None = None
            if type(ts) is str and type(level) is str and type(msg) is str and msg:
                shape = ts[4:20:3]
                if (
                    (shape == WITH_FRACTION and ts[-1] == "Z" and SHORTEST <= len(ts) <= LONGEST)
                    or (shape == WHOLE_SECONDS and len(ts) == WHOLE_LENGTH)
                    or (shape == WITH_FRACTION and has_nanoseconds(ts))
                ):
                    try:
                        read(ts)
                    except ValueError:
                        pass
                    else:
                        known = by_name.get(level)
            if known is not None:
                if ts_from:
                    del event[ts_from]
                    event["ts"] = ts
                if level_from:
                    del event[level_from]
                    event["level"] = known
                elif known != level:
                    event["level"] = known
                counts[known] = counts.get(known, 0) + 1
                if msg_from:
                    del event[msg_from]
                    event["msg"] = msg
            else:
                keys = tuple(event)
                layout = layouts.get(keys)
                if layout is None:
                    layout = self._fast.learn(keys)
                variant = layout.settle(event, zone, tally)
                if variant != UNSETTLED:
                    fast += 1
                    by_layout = True
                    if encryptor is not None:
                        encryptor.add_tokens(event)
                    event["emitter"] = holders[variant]
                    continue
                if not checked:
                    check_writable([event])  # before a part of it becomes text
                settle(event, self.aliases, zone, tally)

            if encryptor is not None:
                encryptor.add_tokens(event)

            if "emitter" in event or "scenario_id" in event:
                overrule(event, "emitter", emitter)
                overrule(event, "scenario_id", scenario_id)
            variant = 0
            own = event.get("app")
            if type(own) is not str or not own:
                variant = NO_APP
                if "app" in event:
                    drop(event, "app")
            if "source" not in event:
                variant |= NO_SOURCE
            else:
                own = event["source"]
                if type(own) is not str or not own:
                    variant |= NO_SOURCE
                    drop(event, "source")
            event["emitter"] = holders[variant]

        self._fast.earn(fast)
        lines = to_lines(events) if checked else as_lines(events)
        if self._masker is not None:
            if self._skips_settled:
                for event in events:
                    del event["ts"], event["level"]
            lines = self._masker.mask_lines(lines, events, tally.masked)
        return self._with_constants(lines, emitter, scenario_id)

    def mask_settled(self, lines: bytes, masked: dict[str, int], *, emitter: str, scenario_id: str) -> bytes:
        """Return lines of settled events masked; adds to ``masked`` by kind.

        The lines are as orjson writes them, the last member ``emitter`` with a placeholder as its value, and no name in
        them is masked.
        """
        if self._masker is not None:
            lines = self._masker.mask_lines(lines, [], masked)
        return self._with_constants(lines, emitter, scenario_id)

    def _with_constants(self, lines: bytes, emitter: str, scenario_id: str) -> bytes:
        """Lines with their placeholders replaced."""
        for variant, place in enumerate(PLACES):
            if place[0] in lines:
                key = (emitter, scenario_id, variant)
                written = self._constants.get(key)
                if written is None:
                    if len(self._constants) >= _MOST_CONSTANTS:
                        self._constants.clear()
                    written = self._constants[key] = constants(emitter, scenario_id, variant)
                lines = lines.replace(place, written)
        return lines


def constants(emitter: str, scenario_id: str, variant: int) -> bytes:
    """Return what replaces a placeholder: the value and the members that follow ``"emitter":``."""
    members = {"": emitter, "scenario_id": scenario_id}
    if variant & NO_APP:
        members["app"] = DEFAULT_APP
    if variant & NO_SOURCE:
        members["source"] = DEFAULT_SOURCE
    return to_json(members)[len(b'{"":') : -1]
