"""Writes the Grafana dashboards of deploy/grafana/dashboards; ``--check`` says whether those there are current.

The line of the objective is read from the alert rules (logops_fast/config/slo.py): its number is defined only there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    LogsSortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
)

from logops_fast.config.slo import Slo, load_slo

TARGET: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
PROMETHEUS: Final = DataSourceRef("prometheus", "prometheus")
LOKI: Final = DataSourceRef("loki", "loki")
COLUMNS: Final = 24
SELECTED: Final = 'emitter=~"$emitter"'
LOGS_URL: Final = "/d/logops-logs?${__url_time_range}&var-emitter=${__field.labels.emitter}&var-level=$__all"
LEVEL_COLOURS: Final = {
    "TRACE": "#8e8e8e",
    "DEBUG": "#6e9fff",
    "INFO": "#73bf69",
    "WARN": "#f2cc0c",
    "ERROR": "#f2495c",
    "FATAL": "#b877d9",
}

Query = tuple[str, str]
"""An expression and its legend."""


class Page:
    """A dashboard under construction: panels are laid from left to right in rows of 24 columns."""

    def __init__(self, uid: str, title: str, description: str) -> None:
        self._x = self._y = self._row_height = self._ids = 0
        self.builder = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["logops"])
            .timezone("browser")
            .refresh("10s")
            .time("now-30m", "now")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(
                dashboard.DashboardLink("LogOps")
                .type(DashboardLinkType.DASHBOARDS)
                .tags(["logops"])
                .keep_time(True)
                .include_vars(True)
            )
        )

    def row(self, title: str) -> None:
        """Begin a row with a title."""
        self._y += self._row_height
        self._x = self._row_height = 0
        self.builder.with_row(
            dashboard.Row(title).id(self._next_id()).grid_pos(GridPos(h=1, w=COLUMNS, x=0, y=self._y))
        )
        self._y += 1

    def add(self, panel: Any, width: int, height: int = 8) -> None:
        """Put a panel to the right of the last one, or below where it has no room."""
        if self._x + width > COLUMNS:
            self._y += self._row_height
            self._x = self._row_height = 0
        self.builder.with_panel(panel.id(self._next_id()).grid_pos(GridPos(h=height, w=width, x=self._x, y=self._y)))
        self._x += width
        self._row_height = max(self._row_height, height)

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def json(self) -> str:
        """The dashboard as Grafana reads it."""
        return JSONEncoder(sort_keys=True, indent=2).encode(self.builder.build()) + "\n"


def graph(title: str, description: str, unit: str, queries: Sequence[Query], *, stacked: bool = False) -> Any:
    """A graph over time; its lines are Prometheus queries."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(35 if stacked else 8)
        .legend(table_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return with_queries(panel, queries)


def table_legend() -> Any:
    """A table under the graph: each line's last and highest value."""
    return (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )


def number(
    title: str, description: str, unit: str, queries: Sequence[Query], steps: Sequence[tuple[float | None, str]]
) -> Any:
    """One figure, coloured by ``steps`` (from which value on, which colour)."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.AREA)
        .thresholds(steps_of(steps))
    )
    return with_queries(panel, queries)


def with_queries(panel: Any, queries: Sequence[Query]) -> Any:
    """The panel with its queries, named A, B, C."""
    for ref, (expression, legend) in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(
            prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).datasource(PROMETHEUS)
        )
    return panel


def steps_of(steps: Sequence[tuple[float | None, str]]) -> Any:
    """Absolute thresholds."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=colour) for value, colour in steps])
    )


def with_line(panel: Any, at: float) -> Any:
    """The graph with a dashed red line at ``at``."""
    return panel.thresholds(steps_of([(None, "transparent"), (at, "red")])).thresholds_style(
        common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
    )


def with_log_link(panel: Any) -> Any:
    """The graph with a link from each line to the logs of its emitter."""
    return panel.data_links([dashboard.DashboardLink("Logs of ${__field.labels.emitter}").url(LOGS_URL)])


def variable(name: str, label: str, query: str | dict[str, object], source: DataSourceRef, all_value: str) -> Any:
    """A variable that is asked of a data source, of which several may be chosen, and all by default."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(source)
        .multi(True)
        .include_all(True)
        .all_value(all_value)
        .current(VariableOption(selected=True, text="All", value="$__all"))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def emitter_variable() -> Any:
    """The emitters that the gateways count."""
    return variable("emitter", "Emitter", "label_values(logops_auth_requests_total, emitter)", PROMETHEUS, ".*")


def quantiles(metric: str) -> list[Query]:
    """The three percentiles of a histogram, over the chosen emitters."""
    rate = f"sum by (le) (rate({metric}_bucket{{{SELECTED}}}[$__rate_interval]))"
    return [(f"histogram_quantile({q}, {rate})", name) for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


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
                    'unknown_client|missing_headers|auth_failures|emitter_not_allowed"}[$__rate_interval]))'
                    " or vector(0)",
                    "{{reason}}",
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


def live_logs() -> Page:
    """The events themselves, by emitter, level and scenario, and those that could not be read."""
    page = Page("logops-logs", "Live logs", "Stored events as Loki has them, and those that could not be read.")
    labels: dict[str, dict[str, object]] = {
        name: {"label": name, "refId": "LokiVariableQueryEditor-VariableQuery", "stream": "", "type": 1}
        for name in ("emitter", "level")
    }
    # Loki wants one matcher that an empty value does not pass.
    page.builder.with_variable(variable("emitter", "Emitter", labels["emitter"], LOKI, ".+"))
    page.builder.with_variable(variable("level", "Level", labels["level"], LOKI, ".+"))
    page.builder.with_variable(
        variable("scenario", "Scenario", "label_values(logops_accepted_total, scenario_id)", PROMETHEUS, ".*")
    )
    page.builder.with_variable(dashboard.TextBoxVariable("text").label("Text").default_value(""))
    chosen = '{emitter=~"$emitter", level=~"$level", source!="rejected"} | scenario_id=~"$scenario" |~ `$text`'
    lines = (
        timeseries.Panel()
        .title("Lines per second by level")
        .description("What Loki has of the chosen events.")
        .datasource(LOKI)
        .unit("short")
        .min(0)
        .fill_opacity(35)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        .legend(table_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .data_links([dashboard.DashboardLink("Metrics of these emitters").url(METRICS_URL)])
        .with_target(
            loki.Dataquery()
            .expr(f"sum by (level) (rate({chosen} [$__auto]))")
            .legend_format("{{level}}")
            .ref_id("A")
            .datasource(LOKI)
        )
    )
    for level, colour in LEVEL_COLOURS.items():
        lines = lines.override_by_name(level, [fixed_colour(colour)])
    page.add(lines, COLUMNS, 6)
    page.add(
        log_panel("Events", "Newest first; a line opens to its fields and structured metadata.", chosen), COLUMNS, 20
    )
    page.row("Events that could not be read")
    page.add(
        log_panel("Rejected", "Kept masked, with the reason.", '{source="rejected", emitter=~"$emitter"} |~ `$text`'),
        COLUMNS,
        10,
    )
    return page


METRICS_URL: Final = "/d/logops-overview?${__url_time_range}&${emitter:queryparam}"


def log_panel(title: str, description: str, expression: str) -> Any:
    """Lines of Loki."""
    return (
        logs.Panel()
        .title(title)
        .description(description)
        .datasource(LOKI)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(LogsSortOrder.DESCENDING)
        .with_target(loki.Dataquery().expr(expression).max_lines(1000).ref_id("A").datasource(LOKI))
    )


def breaker_panel() -> Any:
    """The breaker's state in words."""
    words = {"0": ("closed", "green"), "1": ("half-open", "yellow"), "2": ("open", "red")}
    return number(
        "Circuit breaker",
        "Of the way to the Ingest Gateway; the worst of all instances.",
        "short",
        [("max(logops_circuit_breaker_state)", "")],
        [(None, "green"), (1, "yellow"), (2, "red")],
    ).mappings([ValueMap(options={k: ValueMappingResult(text=t, color=c) for k, (t, c) in words.items()})])


def fixed_colour(colour: str) -> Any:
    """A field override that fixes a line's colour."""
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def dashboards() -> dict[str, str]:
    """File names and contents."""
    slo = load_slo()
    return {
        "overview.json": overview(slo).json(),
        "auth.json": auth().json(),
        "logs.json": live_logs().json(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or compare them; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is not current")
    check = parser.parse_args(argv).check
    made = dashboards()
    stale = [name for name, text in made.items() if not (TARGET / name).exists() or (TARGET / name).read_text() != text]
    if check:
        for name in stale:
            print(f"{TARGET / name} is not current: python -m tools.make_dashboards", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (TARGET / name).write_text(made[name])
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
