"""``ship``: from the stored files to Loki."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from logops_fast.config.sections.base import SECRET, Section


class ShipSettings(Section, frozen=True):
    """Shipping to Loki, with `logops ship`."""

    url: Annotated[
        str,
        Meta(min_length=1, description="Loki. Without a path, that of its push API, `/loki/api/v1/push`, is added."),
    ] = "http://127.0.0.1:3100"
    tenant: Annotated[str, Meta(description="Sent as X-Scope-OrgID, if it is not empty.")] = ""
    username: Annotated[str, Meta(description="User name for Basic authentication.")] = ""
    password: Annotated[
        str, Meta(description="Its password, or a token of a hosted Loki. Never shown.", extra=SECRET)
    ] = ""
    password_file: Annotated[
        str,
        Meta(description="A file with the password; read again when Loki answers 401 or 403, and on SIGHUP."),
    ] = ""
    token: Annotated[str, Meta(description="A Bearer token, instead of Basic. Never shown.", extra=SECRET)] = ""
    token_file: Annotated[
        str, Meta(description="A file with the token; read again when Loki answers 401 or 403, and on SIGHUP.")
    ] = ""
    ca_file: Annotated[str, Meta(description="CA of Loki's certificate, PEM; empty: those that the system trusts.")] = (
        ""
    )
    proxy: Annotated[
        str,
        Meta(
            description="An HTTP proxy that opens tunnels (CONNECT), as `http://user:password@host:port`. Never shown.",
            extra=SECRET,
        ),
    ] = ""
    dir: Annotated[
        str,
        Meta(
            description="Directory of positions and of entries that Loki does not take. Empty: `ship` in `sink.dir`, "
            "where housekeeping finds it."
        ),
    ] = ""
    machine: Annotated[
        str,
        Meta(
            description="The machine in the label `instance`. Empty: that of the positions, at first the host's name."
        ),
    ] = ""
    start: Annotated[
        Literal["end", "beginning"],
        Meta(description="Where to begin in files that exist at the very first start, if no positions are imported."),
    ] = "end"
    app_labels: Annotated[
        list[str],
        Meta(description="Names of applications that become the label `app`; of others `app` is structured metadata."),
    ] = []
    metadata: Annotated[
        list[str], Meta(description="Fields of an event that become structured metadata, beside `seq`.")
    ] = field(
        default_factory=lambda: [
            "app", "source", "scenario_id", "trace_id", "span_id", "request_id", "user_id", "host", "pid", "msgid",
            "tenant", "batch_id", "reason", "ts_raw", "level_raw",
        ]
    )  # fmt: skip
    max_emitters: Annotated[int, Meta(ge=1, description="Emitters that become a label; others are `other`.")] = 1000
    batch_bytes: Annotated[
        int, Meta(ge=4096, le=2_097_152, description="Bytes of lines in one push, before compression.")
    ] = 1_048_576
    poll_interval: Annotated[
        float, Meta(gt=0, le=60, description="Seconds between looks at files that have not grown.")
    ] = 0.25
    connect_timeout: Annotated[float, Meta(gt=0, description="Seconds to connect.")] = 5.0
    timeout: Annotated[float, Meta(gt=0, description="Seconds to wait for the answer to a push or a query.")] = 30.0
    settle: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds to wait after a push without an answer, before Loki is asked about it: longer "
            "than Loki may go on with it. Its `ingester_client.remote_timeout` is 5 s.",
        ),
    ] = 6.0
    base_delay: Annotated[float, Meta(gt=0, description="Seconds to wait after the first failure; doubles.")] = 0.5
    max_delay: Annotated[float, Meta(gt=0, description="Seconds to wait after a failure at most.")] = 30.0
    query: Annotated[
        bool,
        Meta(
            description="Whether Loki may be asked what it has, after a push whose outcome is unknown. If not, such "
            "entries are pushed again, and counted as doubtful."
        ),
    ] = True
    query_limit: Annotated[
        int, Meta(ge=1, description="Entries that a query may return: Loki's `max_entries_limit_per_query`.")
    ] = 5000
    query_within: Annotated[
        float,
        Meta(
            ge=0,
            description="Loki's `querier.query_ingesters_within` in seconds: older entries may be in Loki and not be "
            "found. 0: Loki finds all, as it does with the setting in deploy/loki.",
        ),
    ] = 10_800.0
