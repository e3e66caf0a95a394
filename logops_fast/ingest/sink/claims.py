"""The claims of batch ids while their batches wait for the disk.

Another worker may take over a claim that was not renewed in time, and store the batch itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from logops_fast.ingest.sink.commit_log import LedgerEntry
from logops_fast.ingest.sink.interface import Claims


def confirm(claims: Claims, entries: Sequence[LedgerEntry | None], on_confirmed: Callable[[list[int]], None]) -> None:
    """Ask for each batch of a group whether its claim is still ours: only then may it be accepted.

    ``entries``: the id of each batch, None if it has none. ``on_confirmed`` is called once, with the positions of the
    batches whose claims are lost.
    """
    asked = [position for position, entry in enumerate(entries) if entry is not None]
    verdicts: dict[int, bool] = {}

    def answered(position: int, held: bool) -> None:
        verdicts[position] = held
        if len(verdicts) == len(asked):
            on_confirmed([position for position in asked if not verdicts[position]])

    for position in asked:
        entry = entries[position]
        if entry is not None:
            claims.renew(entry.emitter, entry.batch_id, partial(answered, position))
    if not asked:
        on_confirmed([])


def renew(claims: Claims, entries: Sequence[LedgerEntry | None]) -> None:
    """Extend the claims of batches that wait. One that is lost is noticed before its group is accepted."""
    for entry in entries:
        if entry is not None:
            claims.renew(entry.emitter, entry.batch_id, _ignore)


def _ignore(_held: bool) -> None:
    pass
