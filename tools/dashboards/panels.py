"""A dashboard's rows and panels, as all of ours look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
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


def fixed_colour(colour: str) -> Any:
    """A field override that fixes a line's colour."""
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


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
