"""What the kernel takes from the reference: names of levels, offsets, card networks, endings of secrets' names.

Tables are handed to the kernel at the start, so they are always those of the reference. What is built into it (which
text a pattern may touch) is covered by a digest of the patterns: if that differs from the one that the kernel was
built for, the kernel stays off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from logops_fast.ingest import levels, timestamps, zones
from logops_fast.ingest.pii import (
    cards,
    emails,
    encodings,
    escapes,
    ipv4,
    ipv6,
    json_spans,
    keyforms,
    names,
    pairs,
    secret_values,
    tokens,
    triggers,
    urls,
)
from logops_fast.ingest.plans import SCALES

_NUMBERS: Final = 1000
_SECRETS: Final = (*names.SECRET_NAMES, *names.GLUED_NAMES, *names.QUERY_NAMES)
_UNITS: Final = (
    "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope",
)  # fmt: skip
"""The labels that `emails` takes for a unit of systemd."""
KNOWN_BY_HEART: Final[tuple[ModuleType, ...]] = (
    cards, emails, encodings, escapes, ipv4, ipv6, json_spans, keyforms, names, pairs, secret_values, tokens, triggers,
    urls, timestamps, levels,
)  # fmt: skip


def table(*, masks: bool, secrets: bool, has_own_names: bool = False) -> dict[str, Any]:
    """Return the table of a kernel.

    ``masks``, ``secrets``: whether personal data is masked, and secrets are; ``has_own_names``: whether the settings
    name fields to mask or to keep.
    """
    return {
        "levels": list(levels.LEVELS),
        "spellings": [(name, levels.LEVELS.index(level)) for name, level in sorted(levels.BY_NAME.items())],
        "scales": [[_level(number, scale) for number in range(_NUMBERS)] for scale in SCALES],
        "usual_scale": SCALES.index(levels.USUAL),
        "otel_scale": SCALES.index(levels.OTEL),
        "leading": [(word, levels.LEVELS.index(level)) for word, level in sorted(levels.LEADING.items())],
        "longest_leading": levels.LONGEST_LEADING,
        "front": sorted(levels.FRONT),
        "default_level": levels.LEVELS.index(levels.DEFAULT_LEVEL),
        "offsets": sorted(zones.COMMON_OFFSETS.items()),
        "cards": [(first.decode(), _bits(lengths)) for first, lengths in sorted(cards.LENGTHS.items())],
        "masks": masks,
        "places": [b',"emitter":' + place + b"}\n" for place in escapes.PLACES],
        "has_own_names": has_own_names,
        "endings": sorted(map(_reduced, _SECRETS)) if secrets else [],
        "plain_before": bytes(byte for byte in ipv4.PLAIN_BEFORE if byte < 0x80),
        "suspect": ipv4.SUSPECT,
        "name_ends": ipv4.NAME_ENDS,
        "units": list(_UNITS),
    }


def digest() -> str:
    """Return the digest of all that is built into the kernel: the patterns and constants of the masks and of times."""
    hashed = hashlib.sha256()
    for module in KNOWN_BY_HEART:
        for name, value in sorted(vars(module).items()):
            if name.isupper() or (name.startswith("_") and name[1:].isupper()):
                hashed.update(f"{module.__name__}.{name}={_written(value)}\n".encode())
    return hashed.hexdigest()


def _written(value: Any) -> str:
    """Return a constant as text that is the same in every process."""
    if isinstance(value, re.Pattern):
        return f"{value.pattern!r}/{value.flags}"
    if hasattr(value, "pattern"):  # of the package `regex` (see logops_fast.patterns)
        return f"{value.pattern!r}/{re.compile(value.pattern).flags}"
    if isinstance(value, (frozenset, set)):
        return "{" + ",".join(sorted(map(_written, value))) + "}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_written(key)}:{_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_written, value)) + "]"
    return repr(value)


def _bits(lengths: Iterable[int]) -> int:
    return sum(1 << length for length in lengths)


def _level(number: int, scale: str) -> int | None:
    level = levels.level_of(number, scale)
    return None if level is None else levels.LEVELS.index(level)


def _reduced(name: str) -> str:
    return "".join(_letters(name))


def _letters(name: str) -> Iterator[str]:
    for char in name.lower():
        if char.isdigit():
            yield "0"
        elif char.isalpha():
            yield char
