"""The overview: traffic, the objective, refusals, latency, the disk."""

from __future__ import annotations

from logops_fast.config.slo import Slo
from tools.dashboards.panels import (
    LEVEL_COLOURS,
    SELECTED,
    Page,
    breaker_panel,
    emitter_variable,
    fixed_colour,
    graph,
    number,
    quantiles,
    with_line,
    with_log_link,
)


def overview(slo: Slo) -> Page:
    """What goes in, how fast, what was refused, and whether it is stored."""
    page = Page("logops-overview", "LogOps overview", "Events, latency against the objective, refusals, storage.")
    page.builder.with_variable(emitter_variable())
    page.row("Objective")
    page.add(
        number("Events per second", "Events stored.", "short", [("logops:accepted:rate1m", "")], [(None, "blue")]), 4, 5
    )
    page.add(
        number(
            "Fast batches",
            f"Share of batches under {slo.threshold * 1000:g} ms over {slo.window // 60} minutes.",
            "percentunit",
            [("1 - logops:batches_slow:ratio_rate30m", "")],
            [(None, "red"), (slo.objective, "green")],
        ),
        4,
        5,
    )
    page.add(
        number(
            "p95 over 5 minutes",
            "The 95th percentile of batch latency.",
            "s",
            [("logops:batch_latency_seconds:p95_5m", "")],
            [(None, "green"), (slo.p95 / 2, "yellow"), (slo.p95, "red")],
        ),
        4,
        5,
    )
    page.add(
        number(
            "Error budget left",
            "Of 30 days: 100% is an untouched budget, below 0% the objective is missed.",
            "percentunit",
            [("logops:error_budget_left:ratio30d", "")],
            [(None, "red"), (0, "yellow"), (0.5, "green")],
        ),
        4,
        5,
    )
    page.add(
        number(
            "Gateways up",
            "Instances that Prometheus reaches.",
            "short",
            [('sum(up{job="authgw"})', "auth"), ('sum(up{job="ingest"})', "ingest")],
            [(None, "red"), (1, "green")],
        ),
        4,
        5,
    )
    page.add(breaker_panel(), 4, 5)
    page.row("Traffic")
    page.add(
        with_log_link(
            graph(
                "Events per second by emitter",
                "Events stored. A click on a line leads to its logs.",
                "short",
                [(f"emitter:logops_accepted:rate1m{{{SELECTED}}}", "{{emitter}}")],
                stacked=True,
            )
        ),
        12,
    )
    levels = graph(
        "Events per second by level",
        "Events stored, by level.",
        "short",
        [(f"sum by (level) (emitter_level:logops_ingested:rate1m{{{SELECTED}}})", "{{level}}")],
        stacked=True,
    )
    for level, colour in LEVEL_COLOURS.items():
        levels = levels.override_by_name(level, [fixed_colour(colour)])
    page.add(levels, 12)
    page.row("Latency")
    page.add(
        with_line(
            graph(
                "Batch latency",
                "From a batch's first byte to its answer; the dashed line is the objective of p95.",
                "s",
                quantiles("logops_batch_latency_seconds"),
            ),
            slo.p95,
        ),
        12,
    )
    page.add(
        with_line(
            graph(
                "Burn rate of the error budget",
                "1 spends exactly the budget; the dashed line pages within the hour.",
                "short",
                [
                    (f"logops:batches_slow:ratio_rate{window} / on () (1 - logops:slo_objective:ratio)", window)
                    for window in ("5m", "1h", "6h")
                ],
            ),
            14.4,
        ),
        12,
    )
    page.row("Refusals and failures")
    page.add(
        graph(
            "Refusals by reason",
            "Requests per second that were refused.",
            "reqps",
            [
                (
                    f"sum by (gateway, reason) (rate(logops_rejected_total{{{SELECTED}}}[$__rate_interval])) > 0"
                    " or vector(0)",
                    "{{gateway}} {{reason}}",
                )
            ],
            stacked=True,
        ),
        12,
    )
    page.add(
        graph(
            "Events that were not as they should be",
            "Share of events: unreadable, without a time, without a level.",
            "percentunit",
            [
                (f"max(emitter:logops_parse_errors:ratio_rate5m{{{SELECTED}}})", "unreadable"),
                (f"max(emitter:logops_missing_ts:ratio_rate5m{{{SELECTED}}})", "no time"),
                (f"max(emitter:logops_missing_level:ratio_rate5m{{{SELECTED}}})", "no level"),
            ],
        ),
        12,
    )
    page.row("Storage and load")
    page.add(
        graph(
            "Sink commit time",
            "One group commit: write and fdatasync.",
            "s",
            [
                (f"histogram_quantile({q}, sum by (le) (rate(logops_sink_commit_seconds_bucket[$__rate_interval])))", n)
                for q, n in ((0.5, "p50"), (0.99, "p99"))
            ],
        ),
        8,
    )
    page.add(
        graph(
            "Bytes stored and failures",
            "Bytes per second into the day's files, and group commits that failed.",
            "Bps",
            [
                ("sum(rate(logops_sink_bytes_total[$__rate_interval]))", "written"),
                ("sum(rate(logops_sink_errors_total[$__rate_interval]))", "failed commits per second"),
            ],
        ),
        8,
    )
    page.add(
        graph(
            "In flight", "Requests being worked on.", "short", [("sum by (gateway) (logops_inflight)", "{{gateway}}")]
        ),
        8,
    )
    page.add(
        graph(
            "CPU",
            "Cores in use, by job.",
            "short",
            [('sum by (job) (rate(process_cpu_seconds_total{job=~"authgw|ingest"}[$__rate_interval]))', "{{job}}")],
        ),
        8,
    )
    page.add(
        graph(
            "Memory",
            "Resident memory, by job.",
            "bytes",
            [('sum by (job) (process_resident_memory_bytes{job=~"authgw|ingest"})', "{{job}}")],
        ),
        8,
    )
    page.add(
        graph(
            "Disk of the stored events",
            "Share that is free.",
            "percentunit",
            [
                (
                    'min(node_filesystem_avail_bytes{mountpoint="/data"}'
                    ' / node_filesystem_size_bytes{mountpoint="/data"})',
                    "free",
                )
            ],
        ),
        8,
    )
    return page
