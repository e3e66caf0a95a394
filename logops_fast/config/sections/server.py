"""``server``: processes, and the limits of the HTTP layer."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from logops_fast.config.sections.base import Section


class ServerSettings(Section, frozen=True):
    """Processes, and the limits of the HTTP layer of both gateways."""

    workers: Annotated[
        Annotated[int, Meta(ge=1, le=1023)] | Literal["auto"],
        Meta(description="Worker processes; `auto` is one for each core."),
    ] = 1
    pid_file: Annotated[
        str,
        Meta(
            description="File with the number of the process to signal, for `logops reload`; locked while it runs. "
            "Empty: none."
        ),
    ] = "data/logops.pid"
    drain_timeout: Annotated[
        float, Meta(ge=0, description="Seconds a stopping gateway has to finish what is in flight.")
    ] = 15.0
    worker_timeout: Annotated[
        float,
        Meta(
            ge=6,
            description="Seconds without a heartbeat after which a worker is killed and replaced. After 5 s already "
            "its connections go to other workers.",
        ),
    ] = 30.0
    max_connections: Annotated[int, Meta(ge=1, description="Open connections for each process and gateway.")] = 10_000
    max_connections_per_address: Annotated[
        int,
        Meta(
            ge=1,
            description="Open connections from one address, for each process; one more gets 503 "
            "`too_many_connections`. Addresses in `trusted_proxies` are exempt.",
        ),
    ] = 1024
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description="Networks (CIDR) of load balancers whose X-Forwarded-For is believed: requests through them "
            "are distinguished, in limits and logs, by the rightmost address that is not in the list."
        ),
    ] = []
    max_inflight_bytes: Annotated[
        int,
        Meta(
            ge=65_536, description="Bytes of bodies in flight in each process; past it new ones get 503 `overloaded`."
        ),
    ] = 268_435_456
    max_large_per_emitter: Annotated[
        int,
        Meta(
            ge=1,
            description="Bodies over 1 MiB of one emitter that a worker works on at the same time; others wait for up "
            "to 5 seconds, then get 503 `overloaded`.",
        ),
    ] = 2
    request_line: Annotated[int, Meta(ge=64, description="Longest request line, bytes.")] = 8192
    header_fields: Annotated[int, Meta(ge=8, description="Most header fields of a request.")] = 64
    header_bytes: Annotated[int, Meta(ge=512, description="Largest header section of a request, bytes.")] = 16_384
    header_timeout: Annotated[
        float, Meta(gt=0, description="Seconds from the first byte of a request to the end of its headers.")
    ] = 10.0
    body_min_rate: Annotated[
        int, Meta(ge=1, description="Slowest rate at which a body may arrive after `body_grace`, bytes a second.")
    ] = 1024
    body_grace: Annotated[float, Meta(ge=0, description="Seconds before `body_min_rate` applies to a body.")] = 10.0
    first_byte_timeout: Annotated[
        float, Meta(gt=0, description="Seconds a new connection may wait before its first byte.")
    ] = 10.0
    idle_timeout: Annotated[
        float, Meta(gt=0, description="Seconds a kept-alive connection may wait for its next request.")
    ] = 75.0
