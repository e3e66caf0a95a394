"""The C library's allocator, told what a worker's life is like: the same sizes, batch after batch."""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_BYTES: Final = 64 << 20
"""Free bytes at the top of the heap above which they go back to the kernel."""
MAPPED_BYTES: Final = 8 << 20
"""Blocks from this size on are mapped on their own, and unmapped when they are freed."""

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep what a batch gave back, for the next one; whether there is such a malloc.

    By default the top of the heap is returned to the kernel, and larger blocks always are, batch for batch: the
    page faults of getting them again were a third of normalising a batch of 100 where the heap's top lay badly.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES))
