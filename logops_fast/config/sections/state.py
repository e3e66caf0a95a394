"""``state`` and ``dedup``: what is remembered of requests and batches, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from logops_fast.config.sections.base import SECRET, Section

Backend = Literal["auto", "memory", "shared", "redis"]


class StateSettings(Section, frozen=True):
    """Where nonces, token buckets and batch ids live."""

    backend: Annotated[
        Backend,
        Meta(
            description="`shared`: a file all workers of a machine map; `memory`: one worker, gone at its end; "
            "`redis`: many machines; `auto`: `shared`."
        ),
    ] = "auto"
    redis_url: Annotated[
        str, Meta(description="The Redis or Valkey server, for `redis`; a password in it is never shown.", extra=SECRET)
    ] = "redis://127.0.0.1:6379/0"
    redis_password_file: Annotated[
        str, Meta(description="A file with the password of `redis_url`, instead of one in the URL. Read at the start.")
    ] = ""
    dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory of the `shared` state. `auto`: on tmpfs (`/dev/shm`) if it has room, so that no "
            "worker waits for a disk, else `data/state`.",
        ),
    ] = "auto"
    max_request_rate: Annotated[
        int, Meta(ge=1, description="Signed requests a second of all clients that the sizes below are derived from.")
    ] = 20_000
    max_nonces: Annotated[
        int,
        Meta(
            ge=0,
            description="Nonces remembered; past it the client that holds the most gets 429 `too_many_nonces`. "
            "0: `max_request_rate` over twice `auth.clock_tolerance`.",
        ),
    ] = 0
    max_batch_ids: Annotated[
        int,
        Meta(
            ge=0,
            description="Batch ids remembered at most; the oldest go first. 0: `max_request_rate` over three times "
            "`forward.deadline`, at least 100000.",
        ),
    ] = 0
    redis_allow_eviction: Annotated[
        bool,
        Meta(description="Whether a Redis that may evict keys, and with them nonces, is used: replays may then pass."),
    ] = False


class DedupSettings(Section, frozen=True):
    """Batches that are sent again without an X-Batch-Id; see [the contract](contract.md#3-auth-gateway)."""

    by_body: Annotated[
        list[str],
        Meta(
            description="Emitters whose batches without an X-Batch-Id are recognised by their bodies, if each event "
            "brings a time of its own. Off by default: equal bodies can be intended."
        ),
    ] = []
    window: Annotated[
        float,
        Meta(
            ge=1,
            le=600,
            description="Seconds in which an equal body is the same batch; at most 600, the lifetime of batch ids.",
        ),
    ] = 600.0
