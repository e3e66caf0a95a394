"""``parse`` and ``normalise``: how events are read, and the names of their fields."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from logops_fast.config.sections.base import Section

Zone = Annotated[
    str, Meta(min_length=1, description="IANA name of the time zone of times that carry none, such as `Europe/Berlin`.")
]


class ParseOverride(Section, frozen=True):
    """How the batches of one emitter are read."""

    timezone: Zone = "UTC"


class ParseSettings(Section, frozen=True):
    """How events are read."""

    timezone: Zone = "UTC"
    overrides: Annotated[
        dict[str, ParseOverride], Meta(description="Emitters whose batches are read in another way.")
    ] = field(default_factory=dict)
    multiline: Annotated[
        list[str],
        Meta(
            description="Emitters whose continuation lines (indented, `Caused by:`, `Traceback`, `... 3 more`) and "
            "partial CRI lines are joined to the event before them."
        ),
    ] = []


class NormaliseSettings(Section, frozen=True):
    """Names of your own for the fields that are settled; they go before those of [field formats](field-formats.md).

    They match in any case; a dot means a nested object, or is part of the name. An event's own `ts`, `level`, `msg` and
    `app` go before them, if they read.
    """

    ts_fields: Annotated[list[str], Meta(description="Names of the time, the preferred one first.")] = []
    level_fields: Annotated[list[str], Meta(description="Names of the level, the preferred one first.")] = []
    msg_fields: Annotated[list[str], Meta(description="Names of the message, the preferred one first.")] = []
    app_fields: Annotated[
        list[str], Meta(description="Names of the application, the preferred one first, such as `service.name`.")
    ] = []
