"""Tuning of the C library's allocator for a worker, which needs memory of the same sizes for batch after batch."""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_BYTES: Final = 64 << 20
"""Free bytes at the top of the heap above which they are returned to the kernel."""
MAPPED_BYTES: Final = 8 << 20
"""Blocks of at least this size are mapped on their own, and unmapped when they are freed."""

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> bool:
    """Have glibc's malloc keep freed memory for the next batch; return whether the C library is glibc.

    By default the top of the heap is returned to the kernel after each batch, and larger blocks always are: the page
    faults of getting them again were up to a third of the time of normalising a batch of 100.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES))
