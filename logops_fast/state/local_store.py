"""The state store of one machine: three tables, in memory or in mapped files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from logops_fast.state import batch_ids, buckets, nonces
from logops_fast.state.batch_ids import TableBatchIds
from logops_fast.state.buckets import TableBuckets
from logops_fast.state.contention import Retries
from logops_fast.state.nonces import TableNonces
from logops_fast.state.table import Geometry, Table

_logger: Final = logging.getLogger(__name__)


class Caps(NamedTuple):
    """The most that is remembered at a time, and for how long.

    Nonces live for the clock's tolerance at both ends: with 300 s, twelve million are 20,000 requests/s for good if all
    clients' clocks run ahead by as much as they may, and 40,000 if they are right.
    """

    max_nonces: int = 2_000_000
    max_buckets: int = 65_536
    max_batch_ids: int = 100_000
    batch_ttl: float = 600.0
    """Seconds that a stored batch id is remembered."""

    def geometries(self) -> tuple[Geometry, Geometry, Geometry]:
        """Return the tables of nonces, buckets and batch ids."""
        return (
            nonces.geometry(self.max_nonces),
            buckets.geometry(self.max_buckets),
            batch_ids.geometry(self.max_batch_ids),
        )


DEFAULT_CAPS: Final = Caps()


class LocalStore:
    """A StateStore over three tables. For one thread of each process."""

    def __init__(
        self,
        tables: tuple[Table, Table, Table],
        caps: Caps,
        wall: Callable[[], float],
        clock: Callable[[], float],
        on_close: Callable[[], None] | None = None,
        *,
        tolerance: float = 300.0,
    ) -> None:
        self._tables = tables
        self._on_close = on_close
        self._retries = retries = Retries()
        self.nonces = TableNonces(tables[0], wall, 2 * tolerance + 2, retries=retries)
        self.buckets = TableBuckets(tables[1], clock, retries=retries)
        self.batch_ids = TableBatchIds(tables[2], clock, caps.batch_ttl, retries=retries)

    def worker_started(self, index: int) -> None:
        """See ``StateStore``."""
        self.batch_ids.worker_started(index)

    def healthy(self) -> str | None:
        """Return None: mapped memory is always there."""
        return None

    async def close(self) -> None:
        """Unmap the tables; may be called twice."""
        if failed := self._retries.close():
            _logger.warning(
                "%d batches could not be noted as stored, since another process kept a lock of the state: if they "
                "are sent again they may be stored twice",
                failed,
            )
        self.nonces.close()
        for table in self._tables:
            table.close()
        if self._on_close is not None:
            self._on_close()
            self._on_close = None
