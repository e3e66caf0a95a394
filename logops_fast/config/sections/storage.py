"""``sink`` and ``housekeeping``: where events are stored, and for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from logops_fast.config.sections.base import Section

Durability = Literal["fsync", "written"]
Archive = Literal["delete", "gzip", "zip"]


class SinkSettings(Section, frozen=True):
    """Where accepted events are stored."""

    enabled: Annotated[bool, Meta(description='`false` stores nothing, and answers `"stored":false`.')] = True
    dir: Annotated[str, Meta(min_length=1, description="Directory of the NDJSON files, one for each UTC day.")] = (
        "data/ingest"
    )
    durability: Annotated[
        Durability,
        Meta(description="What an answer promises: `fsync`: on the disk; `written`: handed to the operating system."),
    ] = "fsync"


class HousekeepingSettings(Section, frozen=True):
    """Retention and archiving of old files."""

    autorun: Annotated[bool, Meta(description="Whether the gateway runs it at start-up and every `interval`.")] = True
    interval: Annotated[float, Meta(ge=0, description="Seconds between runs; 0: at the start only.")] = 3600.0
    retention_days: Annotated[int, Meta(ge=0, description="Days that files are kept, not counting today.")] = 7
    archive: Annotated[Archive, Meta(description="What to do with older files.")] = "delete"
    archive_dir: Annotated[str, Meta(description="Directory of the archives, for `gzip` and `zip`.")] = "data/archive"
    wait_for_shipper: Annotated[
        bool,
        Meta(
            description="Whether a file is kept until `logops ship` has shipped it; `max_total_bytes` takes precedence."
        ),
    ] = False
    max_total_bytes: Annotated[
        int, Meta(ge=0, description="Bytes that all files may have; past it the oldest days go first. 0: no limit.")
    ] = 0
