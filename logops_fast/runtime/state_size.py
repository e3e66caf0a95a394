"""How much the state store remembers, where, and whether that fits the limits."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Final

from logops_fast.config.settings import Settings
from logops_fast.runtime.state_place import on_disk_warning, state_place
from logops_fast.state.local_store import Caps

MIN_BATCH_IDS: Final = 100_000


def state_dir(settings: Settings, role: str) -> Path:
    """Return the directory of the shared state. A lone Ingest Gateway needs batch ids only, and shares none."""
    folder = state_place(settings.state.dir, state_caps(settings, role).geometries())
    return folder / "ingest" if role == "ingest" else folder


def state_warnings(settings: Settings, role: str) -> list[str]:
    """Return a sentence if the shared state is on a disk and could be in memory."""
    if settings.state.backend not in ("auto", "shared"):
        return []
    tables = state_caps(settings, role).geometries()
    warning = on_disk_warning(state_place(settings.state.dir, tables), tables)
    return [] if warning is None else [warning]


def state_caps(settings: Settings, role: str) -> Caps:
    """Return how much the state store may remember; what a role does not use takes no room."""
    if role == "ingest":
        return Caps(max_nonces=1, max_buckets=1, max_batch_ids=max_batch_ids(settings))
    if role == "authgw":
        return Caps(max_nonces=max_nonces(settings), max_batch_ids=1)
    return Caps(max_nonces=max_nonces(settings), max_batch_ids=max_batch_ids(settings))


def max_nonces(settings: Settings) -> int:
    """Return the nonces to remember: all of a whole window at ``state.max_request_rate``, unless set."""
    return settings.state.max_nonces or _window_nonces(settings)


def max_batch_ids(settings: Settings) -> int:
    """Return the batch ids to remember: all of three forward deadlines at ``state.max_request_rate``, unless set."""
    derived = ceil(settings.state.max_request_rate * 3 * settings.forward.deadline)
    return settings.state.max_batch_ids or max(derived, MIN_BATCH_IDS)


def sizing_warnings(settings: Settings) -> list[str]:
    """Return a sentence for each size of the state that does not fit the limits."""
    state, deadline = settings.state, settings.forward.deadline
    warnings = []
    if max_nonces(settings) < _window_nonces(settings):
        carried = max_nonces(settings) / (2 * settings.auth.clock_tolerance)
        warnings.append(
            f"state.max_nonces: {state.max_nonces} nonces carry {carried:.0f} requests a second, and "
            f"state.max_request_rate is {state.max_request_rate}: beyond that the largest client is refused"
        )
    if max_batch_ids(settings) < state.max_request_rate * deadline:
        seconds = max_batch_ids(settings) / state.max_request_rate
        warnings.append(
            f"state.max_batch_ids: {state.max_batch_ids} ids are forgotten after {seconds:.1f} s at "
            f"state.max_request_rate, before forward.deadline ({deadline:g} s) is over: a retry may be stored twice"
        )
    return warnings


def _window_nonces(settings: Settings) -> int:
    # A timestamp may lie a whole tolerance ahead, and its nonce is kept for another one after that.
    return ceil(settings.state.max_request_rate * 2 * settings.auth.clock_tolerance)
