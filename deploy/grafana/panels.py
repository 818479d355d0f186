"""Build Grafana dashboards from short descriptions of their panels."""

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
        title: heading.
        unit: Grafana's name of the unit.
        queries: expressions, each with its legend.
        text: description.
        kind: one number, lines over time, or a table.
        width: columns of 24.
        steps: limits of orange and red; None: always green.
        rising: whether high values are bad.
        exemplars: whether to show single events too.
        most: upper limit of the axis.
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
    """Return a panel of one number, four columns wide."""
    return Panel(title, unit, [(query, "")], text, "stat", 4, steps, rising)


def query(spec: Panel, expr: str, legend: str) -> prometheus.Dataquery:
    """Return the Grafana query of a panel."""
    target_query = prometheus.Dataquery().expr(expr).datasource(SOURCE).exemplar(spec.exemplars)
    if legend:
        target_query = target_query.legend_format(legend)
    if spec.kind == "table":
        return target_query.instant().format(PromQueryFormat.TABLE)
    return target_query.instant() if spec.kind == "stat" else target_query.range()


def thresholds(spec: Panel) -> dashboard.ThresholdsConfig:
    """Return the thresholds between green, orange and red."""
    config = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    if spec.steps is None:
        return config.steps([model.Threshold(value=None, color="green")])
    colors = ("green", "orange", "red") if spec.rising else ("red", "orange", "green")
    values = (None, *sorted(spec.steps))
    return config.steps([model.Threshold(value=v, color=c) for v, c in zip(values, colors, strict=True)])


def build_panel(spec: Panel, number: int) -> stat.Panel | table.Panel | timeseries.Panel:
    """Return a panel in Grafana's model; `number` is its id, unique in the dashboard."""
    kinds: dict[Kind, type[stat.Panel | table.Panel | timeseries.Panel]] = {
        "stat": stat.Panel,
        "table": table.Panel,
        "lines": timeseries.Panel,
    }
    panel = kinds[spec.kind]().title(spec.title).unit(spec.unit).datasource(SOURCE).thresholds(thresholds(spec))
    panel = panel.description(spec.text).span(spec.width).height(4 if spec.kind == "stat" else 8).id(number)
    for letter, (expr, legend) in zip(ascii_uppercase, spec.queries, strict=False):
        panel = panel.with_target(query(spec, expr, legend).ref_id(letter))
    if isinstance(panel, timeseries.Panel):
        legend_options = common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST)
        panel = panel.legend(legend_options.placement(common_model.LegendPlacement.BOTTOM).show_legend(True))
        panel = panel.fill_opacity(8).line_width(1).show_points(common_model.VisibilityMode.AUTO)
        if spec.unit != "dB":  # levels in dBFS are negative
            panel = panel.min(0)
        if spec.most is not None:
            panel = panel.max(spec.most)
        if spec.steps is not None:
            lines = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
            panel = panel.thresholds_style(lines)
    return panel


def of(uid: str, title: str, rows: Rows, variables: Sequence[tuple[str, str]] = (), *, every: bool = False) -> str:
    """Return a dashboard as JSON.

    Args:
        uid: last part of its address.
        title: heading.
        rows: rows of panels.
        variables: names, each with the query that lists its values.
        every: whether users may select several values, or all.
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
    for name, values_query in variables:
        variable = dashboard.QueryVariable(name).label(name.capitalize()).datasource(SOURCE).query(values_query)
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
            board = board.with_panel(build_panel(panel, next(numbers)))
    document = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
