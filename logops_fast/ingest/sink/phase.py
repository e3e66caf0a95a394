"""What the file sink is doing."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """A phase of a group, or what is done between two of them; see `file_sink`."""

    IDLE = "idle"
    WRITING = "writing"
    SYNCING = "syncing"
    CONFIRMING = "confirming"
    UNDOING = "undoing"
    TIDYING = "tidying"
    CLOSING = "closing"
