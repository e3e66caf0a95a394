"""The way to Loki: what waits, what arrives, what is refused on the way, and whether all that watches is there."""

from __future__ import annotations

from typing import Final

from tools.dashboards.panels import Page, Query, graph, number

COLLECTORS: Final = 'job=~"ship|promtail|alloy"'
LAG: Final = "job_instance:logops_shipping_lag_bytes:sum"


def way_to_loki() -> Page:
    """The shipper, or the collector in its place, and Loki."""
    page = Page(
        "logops-loki", "The way to Loki", "From the gateway's files to Loki: the shipper, or Promtail or Alloy."
    )
    page.row("Now")
    up = [(None, "red"), (1, "green")]
    page.add(
        number(
            "Collectors up",
            "One for each Ingest Gateway.",
            "short",
            [(f"sum by (job) (up{{{COLLECTORS}}})", "{{job}}")],
            up,
        ),
        4,
        5,
    )
    page.add(
        number("Loki up", "Instances that Prometheus reaches.", "short", [(or_zero('sum(up{job="loki"})'), "")], up),
        4,
        5,
    )
    page.add(
        number(
            "Lag in bytes",
            "Stored, and not in Loki (ship) or not read (Promtail, Alloy).",
            "bytes",
            [(f"sum({LAG})", "")],
            [(None, "green"), (32 << 20, "yellow"), (1 << 30, "red")],
        ),
        4,
        5,
    )
    page.add(
        number(
            "Lag in seconds",
            "Since everything acknowledged was in Loki; the shipper alone knows.",
            "s",
            [(or_zero("max(logops_ship_lag_seconds)"), "")],
            [(None, "green"), (60, "yellow"), (300, "red")],
        ),
        4,
        5,
    )
    page.add(
        number(
            "Room that waits fill",
            "What waits, as a share of housekeeping.max_total_bytes: at 100% files are deleted unshipped.",
            "percentunit",
            [(or_zero("max(logops_ship_lag_bytes / (logops_ship_limit_bytes > 0))"), "")],
            [(None, "green"), (0.25, "yellow"), (0.5, "red")],
        ),
        4,
        5,
    )
    page.add(
        number(
            "Kept in unshippable/",
            "Bytes of lines that Loki does not take: ship --replay.",
            "bytes",
            [(or_zero("sum(logops_ship_unshippable_bytes)"), "")],
            [(None, "green"), (1, "yellow")],
        ),
        4,
        5,
    )
    page.row("Lag and flow")
    page.add(
        graph("Lag in bytes by instance", "What is stored, and not in Loki.", "bytes", [(LAG, "{{job}} {{instance}}")]),
        8,
    )
    page.add(
        graph(
            "Lag in seconds by instance",
            "Since everything acknowledged was in Loki; the shipper alone knows.",
            "s",
            [(or_zero("max by (instance) (logops_ship_lag_seconds)"), "{{instance}}")],
        ),
        8,
    )
    page.add(
        graph(
            "Lines stored and lines shipped",
            "A second, into the files and out of them.",
            "short",
            [
                ("logops:accepted:rate1m", "stored"),
                *rates(
                    "shipped, {}",
                    "logops_ship_entries_total",
                    "promtail_sent_entries_total",
                    "loki_write_sent_entries_total",
                ),
            ],
        ),
        8,
    )
    page.row("Pushes")
    page.add(
        graph(
            "Pushes by outcome",
            "Of the shipper. Anything but `stored` is tried again, or asked about.",
            "reqps",
            [(or_zero("sum by (outcome) (rate(logops_ship_pushes_total[$__rate_interval]))"), "{{outcome}}")],
            stacked=True,
        ),
        8,
    )
    page.add(
        graph(
            "Push time",
            "From sending a push to Loki's answer.",
            "s",
            [
                (
                    f"histogram_quantile({q}, sum by (le) (rate(logops_ship_push_seconds_bucket[$__rate_interval])))",
                    name,
                )
                for q, name in ((0.5, "p50"), (0.99, "p99"))
            ],
        ),
        8,
    )
    page.add(
        graph(
            "Questions to Loki",
            "After a push whose outcome is unknown: which of these lines are there?",
            "reqps",
            [(or_zero("sum by (outcome) (rate(logops_ship_questions_total[$__rate_interval]))"), "{{outcome}}")],
        ),
        8,
    )
    page.row("What did not go as it should")
    page.add(
        graph(
            "Refused or dropped",
            "Lines a second: kept in unshippable/ by the shipper, dropped by Promtail and Alloy.",
            "short",
            [
                (or_zero(rate("logops_ship_refused_entries_total", "reason")), "ship {{reason}}"),
                (or_zero(rate("promtail_dropped_entries_total", "reason")), "promtail {{reason}}"),
                (or_zero(rate("loki_write_dropped_entries_total", "reason")), "alloy {{reason}}"),
            ],
        ),
        8,
    )
    page.add(
        graph(
            "Discarded by Loki",
            "Samples a second by Loki's own reason.",
            "short",
            [(or_zero(rate("loki_discarded_samples_total", "reason")), "{{reason}}")],
        ),
        8,
    )
    page.add(
        graph(
            "Lines with the time of shipping",
            "A second: Loki refused their own time, which is in original_ts.",
            "short",
            [(or_zero(rate("logops_ship_retimed_entries_total", "reason")), "{{reason}}")],
        ),
        8,
    )
    page.add(
        graph(
            "Doubtful lines and lost files",
            "In an hour: lines that may be in Loki twice, files removed before they were shipped.",
            "short",
            [
                (or_zero("sum(increase(logops_ship_doubtful_entries_total[1h]))"), "doubtful lines"),
                (or_zero("sum(increase(logops_ship_lost_files_total[1h]))"), "lost files"),
            ],
        ),
        8,
    )
    page.add(
        graph(
            "CPU",
            "Cores in use, by job.",
            "short",
            [
                (
                    or_zero(
                        f"sum by (job) (rate(process_cpu_seconds_total{{{COLLECTORS}}}[$__rate_interval])"
                        ' or rate(process_cpu_seconds_total{job="loki"}[$__rate_interval]))'
                    ),
                    "{{job}}",
                )
            ],
        ),
        8,
    )
    page.add(
        graph(
            "Targets",
            "Instances that Prometheus reaches, of all that it knows.",
            "short",
            [("sum by (job) (up)", "{{job}}")],
        ),
        8,
    )
    return page


def or_zero(expression: str) -> str:
    """The expression, or 0 where there is no such series: nothing was refused yet, or another collector runs."""
    return f"{expression} or vector(0)"


def rate(counter: str, label: str) -> str:
    """A counter's rate by a label."""
    return f"sum by ({label}) (rate({counter}[$__rate_interval]))"


def rates(legend: str, *counters: str) -> list[Query]:
    """The rates of the same thing, as each collector counts it; of those that do not run there is none."""
    joined = " or ".join(rate(counter, "job") for counter in counters)
    return [(or_zero(joined), legend.format("{{job}}"))]
