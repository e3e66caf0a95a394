"""The Auth Gateway: refusals, limits, the way to the Ingest Gateway."""

from __future__ import annotations

from tools.dashboards.panels import SELECTED, Page, breaker_panel, emitter_variable, graph, quantiles, with_log_link


def auth() -> Page:
    """Who sends, what is refused and why, and how the way to the Ingest Gateway is."""
    page = Page("logops-auth", "Auth gateway", "Requests, refusals, rate limits, replays, forwarding, the breaker.")
    page.builder.with_variable(emitter_variable())
    page.row("Requests")
    page.add(
        graph(
            "Requests by status",
            "Answers per second.",
            "reqps",
            [
                (
                    f"sum by (status) (rate(logops_auth_requests_total{{{SELECTED}}}[$__rate_interval]))",
                    "{{status}}",
                )
            ],
            stacked=True,
        ),
        12,
    )
    page.add(
        with_log_link(
            graph(
                "Requests by emitter",
                "Answers per second. A click on a line leads to its logs.",
                "reqps",
                [
                    (
                        f"sum by (emitter) (rate(logops_auth_requests_total{{{SELECTED}}}[$__rate_interval]))",
                        "{{emitter}}",
                    )
                ],
                stacked=True,
            )
        ),
        12,
    )
    page.add(
        graph(
            "Latency",
            "From the first byte of a request to the answer, forwarding included.",
            "s",
            quantiles("logops_auth_request_latency_seconds"),
        ),
        12,
    )
    page.add(
        graph(
            "In flight",
            "Bytes of bodies held in memory.",
            "bytes",
            [('sum(logops_inflight_bytes{gateway="auth"})', "bytes")],
        ),
        12,
    )
    page.row("Refusals")
    page.add(
        graph(
            "Refusals by reason",
            "Per second.",
            "reqps",
            [
                (
                    f'sum by (reason) (rate(logops_rejected_total{{gateway="auth",{SELECTED}}}[$__rate_interval])) > 0'
                    " or vector(0)",
                    "{{reason}}",
                )
            ],
            stacked=True,
        ),
        12,
    )
    page.add(
        graph(
            "Share of requests refused, by emitter",
            "429: over the rate limit; 413: too large to be ever taken.",
            "percentunit",
            [
                (f"emitter:logops_refused_429:ratio_rate5m{{{SELECTED}}}", "429 {{emitter}}"),
                (f"emitter:logops_refused_413:ratio_rate5m{{{SELECTED}}}", "413 {{emitter}}"),
            ],
        ),
        12,
    )
    page.add(
        graph(
            "Events refused by the rate limit",
            "Events per second, by emitter.",
            "short",
            [
                (
                    f"sum by (emitter) (rate(logops_ratelimit_denied_events_total{{{SELECTED}}}[$__rate_interval]))"
                    " or vector(0)",
                    "{{emitter}}",
                )
            ],
        ),
        12,
    )
    page.add(
        graph(
            "Failed authentications",
            "Per second: replays, bad signatures, clocks, unknown clients.",
            "reqps",
            [
                (
                    'sum by (reason) (rate(logops_rejected_total{gateway="auth",reason=~"replay|bad_.+|clock_skew|'
                    'unknown_client|missing_headers|auth_failures|tls_required|emitter_not_allowed"}[$__rate_interval]))'
                    " or vector(0)",
                    "{{reason}}",
                )
            ],
        ),
        12,
    )
    page.add(
        graph(
            "Syslog: lost messages, connections turned away",
            "Per second, by transport and reason.",
            "short",
            [
                (
                    "sum by (transport, reason) (rate(logops_syslog_dropped_total[$__rate_interval])) or vector(0)",
                    "{{transport}} {{reason}}",
                )
            ],
        ),
        12,
    )
    page.row("Forwarding")
    page.add(
        graph(
            "Tries to forward, by outcome",
            "Per second.",
            "reqps",
            [
                (
                    "sum by (outcome) (rate(logops_forward_attempts_total[$__rate_interval]))",
                    "{{outcome}}",
                )
            ],
            stacked=True,
        ),
        12,
    )
    page.add(breaker_panel(), 6)
    page.add(
        graph(
            "Failures of the state store",
            "Per second. Nonces fail closed, buckets open.",
            "short",
            [("sum by (store) (rate(logops_state_errors_total[$__rate_interval])) or vector(0)", "{{store}}")],
        ),
        6,
    )
    return page
