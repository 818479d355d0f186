"""Panels and dashboards, from what they show to what Grafana reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from string import ascii_uppercase
from typing import Final, Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Kind = Literal["stat", "lines", "table"]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        unit: Grafana's name of it.
        queries: expressions, each with its legend.
        text: what to make of it.
        kind: one number, lines over time, or a table.
        width: of 24 columns.
        steps: values from which on it is orange and red; none: always green.
        rising: whether high is bad.
        exemplars: whether single events are shown too.
        most: highest value of the axis.
    """

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    text: str = ""
    kind: Kind = "lines"
    width: int = 8
    steps: tuple[float, float] | None = None
    rising: bool = True
    exemplars: bool = False
    most: float | None = None


Rows = Sequence[tuple[str, Sequence[Panel]]]


def number(
    title: str,
    unit: str,
    query: str,
    steps: tuple[float, float] | None = None,
    *,
    rising: bool = True,
    text: str = "",
) -> Panel:
    """One number, four columns wide."""
    return Panel(title, unit, [(query, "")], text, "stat", 4, steps, rising)


def query(one: Panel, expr: str, legend: str) -> prometheus.Dataquery:
    """A panel's query."""
    asked = prometheus.Dataquery().expr(expr).datasource(SOURCE).exemplar(one.exemplars)
    if legend:
        asked = asked.legend_format(legend)
    if one.kind == "table":
        return asked.instant().format(PromQueryFormat.TABLE)
    return asked.instant() if one.kind == "stat" else asked.range()


def thresholds(one: Panel) -> dashboard.ThresholdsConfig:
    """Green, orange and red."""
    config = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    if one.steps is None:
        return config.steps([model.Threshold(value=None, color="green")])
    colors = ("green", "orange", "red") if one.rising else ("red", "orange", "green")
    values = (None, *sorted(one.steps))
    return config.steps([model.Threshold(value=v, color=c) for v, c in zip(values, colors, strict=True)])


def built(one: Panel, number: int) -> stat.Panel | table.Panel | timeseries.Panel:
    """A panel as Grafana has it; `number` tells it from the others."""
    kinds: dict[Kind, type[stat.Panel | table.Panel | timeseries.Panel]] = {
        "stat": stat.Panel,
        "table": table.Panel,
        "lines": timeseries.Panel,
    }
    panel = kinds[one.kind]().title(one.title).unit(one.unit).datasource(SOURCE).thresholds(thresholds(one))
    panel = panel.description(one.text).span(one.width).height(4 if one.kind == "stat" else 8).id(number)
    for letter, (expr, legend) in zip(ascii_uppercase, one.queries, strict=False):
        panel = panel.with_target(query(one, expr, legend).ref_id(letter))
    if isinstance(panel, timeseries.Panel):
        legend_options = common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST)
        panel = panel.legend(legend_options.placement(common_model.LegendPlacement.BOTTOM).show_legend(True))
        panel = panel.fill_opacity(8).line_width(1).show_points(common_model.VisibilityMode.AUTO)
        if one.unit != "dB":  # levels in dBFS are negative
            panel = panel.min(0)
        if one.most is not None:
            panel = panel.max(one.most)
        if one.steps is not None:
            lines = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
            panel = panel.thresholds_style(lines)
    return panel


def of(uid: str, title: str, rows: Rows, variables: Sequence[tuple[str, str]] = (), *, every: bool = False) -> str:
    """A dashboard as JSON.

    Args:
        uid: in its address.
        title: shown.
        rows: panels.
        variables: names, each with the query that lists its values.
        every: whether several values, or all, may be chosen.
    """
    board = (
        dashboard.Dashboard(f"Earwitness: {title}")
        .uid(f"earwitness-{uid}")
        .tags(["earwitness"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Earwitness")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["earwitness"])
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, listed in variables:
        variable = dashboard.QueryVariable(name).label(name.capitalize()).datasource(SOURCE).query(listed)
        variable = variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(
            model.VariableSort.ALPHABETICAL_ASC
        )
        if every:
            variable = (
                variable.multi(True)
                .include_all(True)
                .all_value(".*")
                .current(model.VariableOption(text="All", value="$__all", selected=True))
            )
        board = board.with_variable(variable)
    numbers = count(1)
    for row, panels in rows:
        board = board.with_row(dashboard.Row(row).id(next(numbers)))
        for panel in panels:
            board = board.with_panel(built(panel, next(numbers)))
    document = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
