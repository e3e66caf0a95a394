"""``ratelimit`` and ``backpressure``: how much an emitter may send, and how large a batch may be."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from logops_fast.config.sections.base import Section

Unit = Literal["events", "requests"]


class Bucket(Section, frozen=True):
    """The size of a token bucket."""

    capacity: Annotated[int, Meta(ge=1, description="Tokens in a full bucket: the largest burst.")] = 1_000_000
    refill_per_sec: Annotated[float, Meta(gt=0, description="Tokens given back each second: the lasting rate.")] = (
        500_000.0
    )


class RateLimitSettings(Section, frozen=True):
    """How much each emitter may send."""

    unit: Annotated[
        Unit,
        Meta(description="What a token is: an event of a batch (or a KiB, if it has more of those), or a request."),
    ] = "events"
    per_emitter: Bucket = Bucket()
    overrides: Annotated[
        dict[str, Bucket],
        Meta(description="Emitters with a bucket of another size; a part left out is that of `per_emitter`."),
    ] = field(default_factory=dict)


class BackpressureSettings(Section, frozen=True):
    """The largest batch."""

    max_body_bytes: Annotated[
        int, Meta(ge=1, description="Largest body, bytes: as sent, and again after decompression.")
    ] = 16_777_216
    max_items: Annotated[int, Meta(ge=1, description="Most events of a batch.")] = 100_000
    max_event_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Largest event, bytes: as sent, and as the line that is stored; Loki's own limit of a line is "
            "262144. A larger one goes to the rejected file, cut.",
        ),
    ] = 262_144
