"""Plots of training and quality, as SVG. matplotlib comes with the extra `train`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.errors import UnavailableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = 10
"""Colours of matplotlib's own cycle."""

Point = tuple[float, float, float, float]
"""x, y, and the lower and upper end of y's interval."""


def retrieval(path: Path, panels: Mapping[str, Mapping[str, Sequence[Point]]], columns: int) -> None:
    """MAP against K per method, one panel each, with intervals as bands. Source: the paper, figure 3.

    Args:
        path: SVG file to write.
        panels: by title: points (K, mAP, low, high) by method; row by row.
        columns: panels in a row.

    Raises:
        UnavailableError: matplotlib is not installed, or the file cannot be written.
    """

    def draw(axes: "Axes", title: str, lines: Mapping[str, Sequence[Point]]) -> None:
        for number, (method, points) in enumerate(lines.items()):
            style = "-" if number < COLOURS else "--"  # the colours begin again
            k, y, low, high = zip(*points, strict=True)
            (line,) = axes.plot(k, y, style, marker="o", markersize=3, label=method)
            axes.fill_between(k, low, high, color=line.get_color(), alpha=0.08, linewidth=0)
        axes.set(title=title, xlabel="K", ylabel="mAP@K", xscale="log")
        ticks = [point[0] for point in next(iter(lines.values()))]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)

    _panels(path, panels, draw, columns, legend=True)


def reliability(path: Path, panels: Mapping[str, Iterable[Mapping[str, float]]]) -> None:
    """Plot the share that came true against the predicted probability, per bin; perfect calibration is the diagonal.

    Args:
        path: SVG file to write.
        panels: by title: bins as `hub.training.reliability.Reliability.bins` gives them.

    Raises:
        UnavailableError: matplotlib is not installed, or the file cannot be written.
    """

    def draw(axes: "Axes", title: str, bins: Iterable[Mapping[str, float]]) -> None:
        found = list(bins)
        most = max(entry["pairs"] for entry in found)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
        sizes = [10 + 90 * (entry["pairs"] / most) ** 0.5 for entry in found]
        axes.scatter([entry["said"] for entry in found], [entry["came"] for entry in found], s=sizes, alpha=0.8)
        axes.set(title=title, xlabel="predicted probability", ylabel="share that came true", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)

    _panels(path, panels, draw, len(panels), legend=False)


def training(path: Path, history: Iterable[Mapping[str, Any]]) -> None:
    """Losses and validation mAP by epoch; a colour per run, in which a line per member.

    Args:
        path: SVG file to write.
        history: epochs as a checkpoint's record has them.

    Raises:
        UnavailableError: matplotlib is not installed, or the file cannot be written.
    """
    lines: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for epoch in history:
        lines.setdefault((epoch.get("run", epoch["stage"]), epoch.get("member", 1)), []).append(epoch)

    def draw(axes: "Axes", title: str, keys: Sequence[str]) -> None:
        colours: dict[str, str] = {}
        for (run, _), epochs in lines.items():
            for key in keys:
                points = [(at, epoch[key]) for at, epoch in enumerate(epochs, 1) if epoch.get(key) is not None]
                if points:
                    name = f"{run}: {key}"
                    label = None if name in colours else name
                    colour = colours.setdefault(name, f"C{len(colours)}")
                    axes.plot(*zip(*points, strict=True), marker=".", color=colour, label=label)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if colours:
            axes.legend(fontsize=7)

    panels = {"loss": ("loss", "validation_loss"), "mAP@10 set aside": ("map_8", "map_7")}
    _panels(path, panels, draw, len(panels), legend=False)


def costs(path: Path, lines: Mapping[str, Sequence[tuple[float, float]]], xlabel: str, ylabel: str) -> None:
    """Costs against size, both axes logarithmic.

    Args:
        path: SVG file to write.
        lines: by name: points (size, cost).
        xlabel: what sizes are.
        ylabel: what costs are.

    Raises:
        UnavailableError: matplotlib is not installed, or the file cannot be written.
    """

    def draw(axes: "Axes", title: str, data: Mapping[str, Sequence[tuple[float, float]]]) -> None:
        for name, points in data.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)

    _panels(path, {"": lines}, draw, 1, legend=False)


def _panels(
    path: Path, panels: Mapping[str, Any], draw: Callable[["Axes", str, Any], None], columns: int, *, legend: bool
) -> None:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra that the hub does not need
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise UnavailableError('plots need matplotlib: pip install "earwitness[train]"') from error
    with mpl.rc_context(
        {"svg.hashsalt": "earwitness", "svg.fonttype": "none", "font.size": 9}
    ):  # the same data give the same file
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(5.2 * columns, 4.2 * rows + 0.8 * legend), layout="constrained")
        all_axes = figure.subplots(rows, columns, squeeze=False).flat
        for axes, (title, data) in zip(all_axes, panels.items(), strict=True):
            draw(axes, title, data)
        if legend:
            handles, labels = all_axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=4)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format="svg", metadata={"Date": None})
        except OSError as error:
            raise UnavailableError(f"cannot write {path}: {error}") from error
