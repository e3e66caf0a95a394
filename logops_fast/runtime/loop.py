"""The event loop: uvloop if it is installed, else the standard library's."""

from __future__ import annotations

import asyncio
from typing import Final

UVLOOP: Final = "uvloop"
ASYNCIO: Final = "asyncio"


def accelerator() -> str:
    """Return ``uvloop`` or ``asyncio``, whichever :func:`new_event_loop` creates."""
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return ASYNCIO
    return UVLOOP


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop: a ``loop_factory`` for :class:`asyncio.Runner`."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
