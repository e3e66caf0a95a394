"""The event loop: uvloop where it is installed, else the standard library's."""

from __future__ import annotations

import asyncio
from typing import Final

UVLOOP: Final = "uvloop"
ASYNCIO: Final = "asyncio"


def accelerator() -> str:
    """``uvloop`` or ``asyncio``: what :func:`new_event_loop` makes here."""
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return ASYNCIO
    return UVLOOP


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop, not yet the current one: a ``loop_factory`` for :class:`asyncio.Runner`."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
