"""Syncs that the kernel carries out while thread and loop go on: Linux' native AIO, completed by an eventfd.

A thread that calls fdatasync waits for the interpreter's lock once more afterwards; under load that takes longer than
the sync. The kernel's own worker does not need the lock. See architecture/decisions/0010 and 0011.
Sources: io_setup(2), io_submit(2), io_getevents(2), eventfd(2); IOCB_CMD_FDSYNC works on files since Linux 4.18.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["MAX_FILES", "KernelSync", "OnSynced", "SyncQueue"]

MAX_FILES: Final = 2  # a group's events and its rejected events

_FDSYNC: Final = 3  # IOCB_CMD_FDSYNC, <linux/aio_abi.h>
_RESFD: Final = 1  # IOCB_FLAG_RESFD

_PENDING: Final = -1  # no errno

OnSynced = Callable[[list[int]], None]
"""Called on the loop with an errno for each file, 0 for success."""


class _Calls(NamedTuple):
    """Numbers of the system calls; the C library has no functions for them."""

    setup: int
    destroy: int
    submit: int
    getevents: int


_GENERIC: Final = _Calls(0, 1, 2, 4)
_CALLS: Final = {"x86_64": _Calls(206, 207, 209, 208), "aarch64": _GENERIC, "riscv64": _GENERIC}


class _Iocb(ctypes.Structure):
    """``struct iocb`` of <linux/aio_abi.h>, little-endian."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("fd", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    """``struct io_event``."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("iocb", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    )


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class SyncQueue(Protocol):
    """Syncs files without blocking the caller; one request at a time."""

    def submit(self, fds: Sequence[int], on_synced: OnSynced) -> None:
        """Begin to bring the data of at most ``MAX_FILES`` files to the disk; may be called from any thread.

        Raises OSError if it cannot begin; ``on_synced`` is not called then.
        """

    def close(self) -> None:
        """Release the queue, on the loop; no request may be under way."""


class KernelSync:
    """A queue of the kernel's. Raises OSError if there is none: another system, or not allowed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        calls = _CALLS.get(platform.machine())
        if sys.platform != "linux" or sys.byteorder != "little" or calls is None or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise OSError(errno.ENOSYS, "no asynchronous sync on this system")
        library = ctypes.CDLL(None, use_errno=True)
        # The same function twice: the second keeps the interpreter's lock, for calls that do not wait.
        self._waiting: Any = library.syscall
        self._prompt: Any = ctypes.PyDLL(None, use_errno=True).syscall
        for call in (self._waiting, self._prompt):
            call.restype = ctypes.c_long
        self._calls = calls
        self._context = ctypes.c_ulong(0)
        self._check(self._waiting(ctypes.c_long(calls.setup), ctypes.c_long(MAX_FILES), ctypes.byref(self._context)))
        try:
            self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            self._destroy()
            raise
        # Kept for the queue's life: the kernel reads them at each submit.
        self._requests = (_Iocb * MAX_FILES)(
            *(_Iocb(data=at, opcode=_FDSYNC, flags=_RESFD, resfd=self._eventfd) for at in range(MAX_FILES))
        )
        self._pointers = (ctypes.c_void_p * MAX_FILES)(
            *(ctypes.addressof(self._requests) + at * ctypes.sizeof(_Iocb) for at in range(MAX_FILES))
        )
        self._events = (_Event * MAX_FILES)()
        self._now = _Timespec(0, 0)
        self._results: list[int] = []
        self._on_synced: OnSynced | None = None
        self._loop = loop
        loop.add_reader(self._eventfd, self._ready)

    @classmethod
    def open(cls, loop: asyncio.AbstractEventLoop) -> KernelSync | None:
        """Return a queue, or None if the kernel has or gives none."""
        try:
            return cls(loop)
        except OSError:
            return None

    def submit(self, fds: Sequence[int], on_synced: OnSynced) -> None:
        """See SyncQueue. Raises OSError; then none of them is under way."""
        assert self._on_synced is None, "one request at a time"  # noqa: S101
        for at, fd in enumerate(fds):
            self._requests[at].fd = fd
        # Before the call: the loop may see the end of it before this thread goes on.
        self._results = results = [_PENDING] * len(fds)
        self._on_synced = on_synced
        try:
            submitted = self._check(
                self._prompt(
                    ctypes.c_long(self._calls.submit),
                    self._context,
                    ctypes.c_long(len(fds)),
                    ctypes.byref(self._pointers),
                )
            )
        except OSError:
            self._on_synced = None
            raise
        if submitted < len(fds):
            # The kernel stops at the first that it does not take. What it took goes on; the rest counts as failed.
            for at in range(submitted, len(fds)):
                results[at] = errno.EAGAIN
            self._loop.call_soon_threadsafe(self._settle)

    def close(self) -> None:
        """See SyncQueue."""
        self._loop.remove_reader(self._eventfd)
        self._destroy()
        os.close(self._eventfd)

    def _destroy(self) -> None:
        self._waiting(ctypes.c_long(self._calls.destroy), self._context)

    def _ready(self) -> None:
        try:
            os.eventfd_read(self._eventfd)
        except BlockingIOError:
            return
        count = self._check(
            self._prompt(
                ctypes.c_long(self._calls.getevents),
                self._context,
                ctypes.c_long(0),
                ctypes.c_long(MAX_FILES),
                ctypes.byref(self._events),
                ctypes.byref(self._now),
            )
        )
        for at in range(count):
            event = self._events[at]
            self._results[event.data] = -event.result if event.result < 0 else 0
        self._settle()

    def _settle(self) -> None:
        """Report the results once all of them are known."""
        on_synced = self._on_synced
        if on_synced is not None and _PENDING not in self._results:
            self._on_synced = None
            on_synced(self._results)

    @staticmethod
    def _check(result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
