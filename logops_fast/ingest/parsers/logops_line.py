"""The LogOps line: ``YYYY-MM-DD HH:MM:SS LEVEL host app[pid]: text``."""

from __future__ import annotations

from typing import Any, Final

from logops_fast.patterns import compile_possessive

# Fractions and a zone are read too. "[pid]:" is required: without it, prose with a colon would be cut up.
_LINE: Final = compile_possessive(
    r"(?s)(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d++)?+(?:Z|[+-]\d\d:?\d\d)?+) ++"
    r"([A-Za-z]++) ++(\S++) ([^\s\[\]]++)\[([^\]\s]*+)\]: ?(.*)",
)


def parse_line(line: str) -> dict[str, Any] | None:
    """Return the event of one line, or None if it is not of this form. The level is left as it is written."""
    found = _LINE.match(line)
    if found is None:
        return None
    ts, level, host, app, pid, msg = found.groups()
    event: dict[str, Any] = {"ts": ts.replace(",", "."), "level": level, "host": host, "app": app, "msg": msg}
    if pid:
        event["pid"] = pid
    return event
