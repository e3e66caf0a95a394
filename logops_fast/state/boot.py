"""Identifies the current boot of the machine: the content of a file in page cache is certain only within one."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Final

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return a text of at most 36 characters that changes with each boot of the machine.

    If the system does not say, it is new each time: nothing outlives a restart of the gateway then.
    """
    if sys.platform == "darwin":
        return _darwin() or secrets.token_hex(16)
    try:
        return _LINUX.read_text("ascii").strip()[:36]
    except OSError:
        return secrets.token_hex(16)


def _darwin() -> str:
    import ctypes  # not needed elsewhere, and a megabyte of memory

    size = ctypes.c_size_t(64)
    answer = ctypes.create_string_buffer(size.value)
    libc = ctypes.CDLL(None)
    if libc.sysctlbyname(b"kern.bootsessionuuid", answer, ctypes.byref(size), None, 0) != 0:
        return ""
    return answer.value.decode("ascii", "replace")[:36]
