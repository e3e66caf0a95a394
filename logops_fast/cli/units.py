"""Numbers as people read them, in a few columns."""

from __future__ import annotations

from typing import Final

_UNKNOWN: Final = "-"


def number(value: float | None) -> str:
    """Return a count: 12,345; from a million on 1.2M, from a billion on 1.2G."""
    if value is None:
        return _UNKNOWN
    if value < 999_999.5:
        return f"{value:,.0f}"
    return f"{value / 1e6:,.1f}M" if value < 999.95e6 else f"{value / 1e9:,.1f}G"


def rate(value: float | None) -> str:
    """Return a number a second; below ten with one digit after the point."""
    return f"{value:.1f}" if value is not None and 0.0 < value < 9.95 else number(value)


def size(value: float | None) -> str:
    """Return bytes: 512 B, 1.5 kB, 12 MB."""
    if value is None:
        return _UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            break
        value /= 1000
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:,.0f} {unit}"


def duration(seconds: float | None) -> str:
    """Return seconds: 0.25 ms, 12 ms, 1.5 s, 12 s, 4 min, 3 h, 2 d."""
    if seconds is None:
        return _UNKNOWN
    if seconds < 0.0095:
        return f"{seconds * 1e3:.2g} ms" if seconds else "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 119.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    if seconds < 7170:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"
