"""Plot of a replay: times of planted sources and of alerts, by day and hour."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hub.bench import alert_metrics as measure
from hub.bench.alert_metrics import GroundTruth
from hub.bench.scenario import DAY_S, HOUR_S, JACKHAMMER, SAW
from shared.errors import UnavailableError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_COLOURS: Final = {JACKHAMMER: "#f2c078", SAW: "#a9c6e8"}
_MARKS: Final = {
    "about a planted source, the best match the same": ("#1a7f37", "o", 16),
    "about a planted source, the best match another": ("#1a7f37", "x", 20),
    "right by kind": ("#8c959f", ".", 14),
    "wrong by kind": ("#cf222e", "v", 20),
}


def mark(truth: GroundTruth, number: int) -> str:
    """Return the name of the mark that an alert is drawn with.

    Args:
        truth: ground truth of the replay.
        number: index of the alert.
    """
    alert = truth.alerts[number]
    right, planted, other, wrong = _MARKS
    if measure.right_by_source(truth, alert):
        return right
    if truth.planted(alert.event, alert.categories[0]):
        return planted
    return other if measure.right_by_kind(truth, alert) else wrong


def draw(path: Path, truth: GroundTruth) -> None:
    """Draw one panel per sensor: days on the x axis, hours of the day on the y axis.

    Args:
        path: SVG file to write.
        truth: ground truth of the replay.

    Raises:
        UnavailableError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra that the hub does not need
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise UnavailableError('plots need matplotlib: pip install "earwitness[train]"') from error
    with mpl.rc_context({"svg.hashsalt": "earwitness", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9.0, 2.6 * len(truth.places) + 0.6), layout="constrained")
        panels: Sequence[Axes] = list(figure.subplots(len(truth.places), 1, squeeze=False, sharex=True).flat)
        named: dict[str, Artist] = {}
        for sensor, axes in enumerate(panels):
            _panel(axes, truth, sensor)
            named |= {name: one for one, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        panels[-1].set_xlabel("day; the first is a Monday")
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=3)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format="svg", metadata={"Date": None})
        except OSError as error:
            raise UnavailableError(f"cannot write {path}: {error}") from error


def _panel(axes: "Axes", truth: GroundTruth, sensor: int) -> None:
    for source, colour in _COLOURS.items():
        occurrences = [
            one
            for one in truth.sound_events.values()
            if one.planted == source and any(number == sensor for number, _ in one.sources)
        ]
        if occurrences:
            days = [one.begin_s // DAY_S for one in occurrences]
            hours = [one.begin_s % DAY_S / HOUR_S for one in occurrences]
            lasts = [(one.end_s - one.begin_s) / HOUR_S for one in occurrences]
            axes.bar(days, lasts, bottom=hours, width=0.9, color=colour, label=f"{source} sounds")
    marks = [mark(truth, number) for number in range(len(truth.alerts))]
    for name, (colour, shape, size) in _MARKS.items():
        at = [
            truth.at_s(alert)
            for alert, own_mark in zip(truth.alerts, marks, strict=True)
            if own_mark == name and f"{alert.site}/{alert.sensor}" == truth.places[sensor]
        ]
        axes.scatter(
            [s // DAY_S for s in at], [s % DAY_S / HOUR_S for s in at], s=size, color=colour, marker=shape, label=name
        )
    axes.set(title=truth.places[sensor], ylabel="hour of the day", ylim=(0, 24), yticks=range(0, 25, 6))
    axes.grid(alpha=0.3)
