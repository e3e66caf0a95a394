"""The stored events themselves, as Loki has them."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, logs, loki, timeseries
from grafana_foundation_sdk.models.common import (
    LogsSortOrder,
    StackingMode,
    TooltipDisplayMode,
)

from tools.dashboards.panels import COLUMNS, LEVEL_COLOURS, LOKI, PROMETHEUS, Page, fixed_colour, table_legend, variable

METRICS_URL: Final = "/d/logops-overview?${__url_time_range}&${emitter:queryparam}"


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
    page.builder.with_variable(
        dashboard.TextBoxVariable("text")
        .label("Text")
        .description("A regular expression. A backslash is typed twice: \\\\d+")
        .default_value("")
    )
    # Quoted by Grafana: a quote of either kind in the text must not end the string.
    text = "${text:doublequote}"
    chosen = f'{{emitter=~"$emitter", level=~"$level", stream="events"}} | scenario_id=~"$scenario" |~ {text}'
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
        log_panel(
            "Events",
            "Newest first; a line opens to its fields and structured metadata.",
            chosen,
        ),
        COLUMNS,
        20,
    )
    page.row("Events that could not be read")
    page.add(
        log_panel("Rejected", "Kept masked, with the reason.", f'{{stream="rejected", emitter=~"$emitter"}} |~ {text}'),
        COLUMNS,
        10,
    )
    return page


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
