"""``logging``: the program's own log."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from logops_fast.config.sections.base import Section


class LoggingSettings(Section, frozen=True):
    """The program's own log, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe line that is written.")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="`auto`: text on a terminal, JSON lines otherwise.")
    ] = "auto"
