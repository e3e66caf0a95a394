"""Says where the settled fields of an event came from, for ``logops parse``. Nothing of it runs in a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from logops_fast.ingest import aliases
from logops_fast.ingest.aliases import Found
from logops_fast.ingest.levels import level_of
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Inherited
from logops_fast.ingest.settling import numbers_of
from logops_fast.ingest.timestamps import canonical

RECEIPT: Final = "time of receipt"
MESSAGE: Final = "text of msg"
DEFAULT: Final = "default"
LINE: Final = "the line"
LINE_BEFORE: Final = "the line before"
NOWHERE: Final = "nowhere"

_SETTLED: Final = ("ts", "level", "msg")


class Sources(NamedTuple):
    """Where ``ts``, ``level`` and ``msg`` came from: the name of a field, dotted where nested, or a word from above."""

    ts: str
    level: str
    msg: str


def sources(
    normaliser: Normaliser, event: dict[str, Any], *, emitter: str, is_line: bool, found_level: bool
) -> Sources:
    """Return where the fields of an event came from, as the normaliser decides it.

    ``event`` is as it was parsed, before it was normalised. ``is_line``: it was parsed from a line of text, so that its
    fields have no names of the sender's; ``found_level``: the normaliser counted no missing level.
    """
    layouts = [table.layout(event) for table in (normaliser.own_aliases, normaliser.aliases) if table is not None]
    zone = normaliser.zone_of(emitter)

    def first(find: Any) -> str:
        for layout in layouts:
            found: Found | None = find(layout)
            if found is not None:
                return name_of(found)
        return ""

    if _reads_ts(event.get("ts"), zone):
        ts = _own_name("ts", event["ts"], is_line)
    else:
        ts = first(lambda layout: aliases.find_ts(event, layout, zone)) or RECEIPT
    if _reads_level(event):
        level = _own_name("level", event["level"], is_line)
    else:
        level = first(lambda layout: aliases.find_level(event, layout)) or (MESSAGE if found_level else DEFAULT)
    if event.get("msg") not in (None, ""):
        msg = _own_name("msg", event["msg"], is_line)
    else:
        msg = first(lambda layout: aliases.find_msg(event, layout)) or NOWHERE
    return Sources(ts, level, msg)


def name_of(found: Found) -> str:
    """Return the name of the place where a value was found."""
    candidate = found[0]
    if not candidate.key:  # CLEF without a level
        return f"absence of {candidate.alias}"
    return f"{candidate.key}.{candidate.path}" if candidate.path else candidate.key


def masked_fields(plain: dict[str, Any], masked: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the clear value of each field that the masks changed.

    ``plain`` and ``masked`` are the same event, stored without and with masks. Elements of a list belong to the list.
    """
    for key, value in plain.items():
        if key not in masked:  # the key itself held personal data
            yield (key,), value
        elif isinstance(value, dict) and isinstance(masked[key], dict):
            for path, inner in masked_fields(value, masked[key]):
                yield (key, *path), inner
        elif value != masked[key]:
            yield (key,), value


def alone(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return an event with this field alone, to see which masks apply to it."""
    for key in reversed(path):
        value = {key: value}
    event: dict[str, Any] = value
    return event


def _own_name(name: str, value: Any, is_line: bool) -> str:
    if type(value) is Inherited:
        return LINE_BEFORE
    return LINE if is_line else name


def _reads_ts(value: Any, zone: Any) -> bool:
    if type(value) is Inherited:
        return value.value is not None
    return canonical(value, zone) is not None


def _reads_level(event: dict[str, Any]) -> bool:
    value = event.get("level")
    if type(value) is Inherited:
        return value.value is not None
    return level_of(value, numbers_of(event)) is not None
