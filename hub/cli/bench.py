"""The hub's commands `bench ...`. Each imports its modules when it runs, so that `--help` is fast."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hub.bench.scenario import PERFORMANCES
from hub.cli.options import JsonOption, SetOption, handles_errors, load_hub_settings
from hub.training import plots
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import UnavailableError
from shared.feature_space import SHORT_NAMES, VGGISH

if TYPE_CHECKING:
    from hub.model.checkpoint import Checkpoint

DataOption = Annotated[
    Path | None,
    typer.Option(
        help="folder with VGGish embeddings (train.npz, eval_dev.npz) to fill archives with; random if not given",
        show_default=False,
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(help="checkpoint to measure; the paper's network for VGGish if not given", show_default=False),
]

HubCheckpointOption = Annotated[
    Path | None,
    typer.Option(help="checkpoint for VGGish that the hub uses; the shipped one if not given", show_default=False),
]

app = typer.Typer(no_args_is_help=True, help="Measure speed, memory and alert quality on this machine.")


@app.command("embedding")
@handles_errors
def embed(
    spaces: Annotated[
        list[str] | None,
        typer.Argument(help="feature spaces, or descriptions (.toml); all installed ones if not given"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="clips per feature space")] = 30,
    json_: JsonOption = False,
) -> None:
    """Measure time and memory for turning a clip of 10 s at 48 kHz into features, on one thread.

    Example: earwitness-hub bench embedding --json
    """
    from hub.bench.embedding_cost import costs

    with tempfile.TemporaryDirectory(prefix="earwitness-") as folder:
        names = spaces or ["logmel", "earwitness-small", *_yamnet(Path(folder)), "vggish"]
        measured = costs(names, repeats)
    if json_:
        typer.echo(to_json([asdict(cost) for cost in measured]))
        return
    table = Table(title=f"one clip of 10 s, one thread, median of {repeats}")
    for column in ("feature space", "ms a clip", "slowest", "memory, MB"):
        table.add_column(column)
    for cost in measured:
        table.add_row(cost.space, f"{cost.ms_per_clip:.1f}", f"{cost.slowest_ms:.1f}", f"{cost.memory_mb:.0f}")
    plain_console().print(table)


@app.command()
@handles_errors
def score(
    data: DataOption = None,
    checkpoint: CheckpointOption = None,
    events: Annotated[int, typer.Option(min=100, help="events scored by each query")] = 20_000,
    queries: Annotated[int, typer.Option(min=1, help="queries whose ten best are compared with the exact ones")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="repeats of each measurement; the median counts")] = 9,
    json_: JsonOption = False,
) -> None:
    """Measure pairs scored per second, compared with the paper's literal forward and with plain matrix products.

    Example: earwitness-hub bench score --data audioset/ --json
    """
    from hub.bench.scoring_throughput import score_figures

    figures = asdict(score_figures(_checkpoint(checkpoint), data, events, queries, repeats))
    _print_figures("one query against many events", figures, json_)


@app.command()
@handles_errors
def search(
    data: DataOption = None,
    checkpoint: CheckpointOption = None,
    events: Annotated[int, typer.Option(min=1_000, help="events in the archive")] = 100_000,
    queries: Annotated[
        int, typer.Option(min=1, help="queries compared with an exact scan; the same number tunes the candidates")
    ] = 100,
    repeats: Annotated[int, typer.Option(min=1, help="number of timed searches")] = 200,
    recall: Annotated[float, typer.Option(min=0.01, max=1.0, help="target recall@10")] = 0.99,
    references: Annotated[bool, typer.Option(help="measure FAISS too; its graph takes minutes to build")] = True,
    plot: Annotated[Path | None, typer.Option(help="SVG file for the cost curves")] = None,
    json_: JsonOption = False,
) -> None:
    """Measure latency and recall of a search, compared with an exact scan and FAISS over mean embeddings.

    Example: earwitness-hub bench search --events 1000000 --data audioset/ --json
    """
    try:
        from hub.bench.search_latency import search_figures  # the hub does not depend on FAISS
    except ImportError as error:
        raise UnavailableError(f"{error}: pip install faiss-cpu") from error
    with _progress() as progress:
        figures = search_figures(
            _checkpoint(checkpoint),
            data,
            events=events,
            queries=queries,
            repeats=repeats,
            recall=recall,
            references=references,
            progress=progress,
        )
    if plot is not None:
        names = {"median_ms": "search, median", "p99_ms": "search, 99th percentile", "exact_median_ms": "exact scan"}
        lines = {name: [(p.events, getattr(p, key)) for p in figures.curve] for key, name in names.items()}
        if references:
            lines["FAISS flat, 128-D means"] = [(events, figures.faiss_flat_median_ms)]
        plots.costs(plot, lines, "events in the archive", "milliseconds, two cores")
    _print_figures(f"search among {events:,} events", asdict(figures), json_)


@app.command()
@handles_errors
def ingest(
    data: DataOption = None,
    archive: Annotated[int, typer.Option(min=0, help="events in the archive, searched for each event")] = 100_000,
    seconds: Annotated[float, typer.Option(min=1.0, help="duration of sending, in seconds")] = 60.0,
    rate: Annotated[
        float, typer.Option(min=0.0, help="events sent per second; 0: the most that the broker accepts")
    ] = 520.0,
    durable: Annotated[
        bool, typer.Option("--durable", help="redis.durable = local; needs a redis-server of 7.2 or newer")
    ] = False,
    capacity: Annotated[int, typer.Option(min=2, max=65_535, help="ingest.max_in_flight")] = 256,
    checkpoint: HubCheckpointOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure events per second from receipt to acknowledgement, with a separate broker, Redis and hub.

    Needs `mosquitto` and `redis-server`.

    Example: earwitness-hub bench ingest --data audioset/ --json
    """
    from hub.bench.ingest_throughput import ingest_figures

    chosen = (f"redis.durable={'local' if durable else 'no'}", f"ingest.max_in_flight={capacity}")
    settings = (*_checkpoints(checkpoint), *chosen)
    with _progress() as progress:
        figures = ingest_figures(
            data, archive=archive, seconds=seconds, rate=rate, settings=settings, progress=progress
        )
    _print_figures("ingest", asdict(figures), json_)


@app.command("startup")
@handles_errors
def start(
    data: DataOption = None,
    events: Annotated[int, typer.Option(min=1_000, help="events in the archive")] = 100_000,
    checkpoint: HubCheckpointOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure the seconds until a hub with an archive is ready, from Redis alone and from a snapshot.

    Needs `mosquitto` and `redis-server`.

    Example: earwitness-hub bench startup --events 1000000 --data audioset/ --json
    """
    from hub.bench.startup_time import start_figures

    with _progress() as progress:
        figures = start_figures(data, events=events, settings=_checkpoints(checkpoint), progress=progress)
    _print_figures("start", asdict(figures), json_)


@app.command()
@handles_errors
def alerts(
    days: Annotated[int, typer.Option(min=2, help="number of days to replay")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    sensors: Annotated[int, typer.Option(min=1, help="number of sensors")] = 3,
    performances: Annotated[
        int,
        typer.Option(min=1, help="different clips generated of a recurring source; further ones combine these"),
    ] = PERFORMANCES,
    feedback: Annotated[bool, typer.Option(help="add the correct verdict on every alert")] = False,
    plot: Annotated[Path | None, typer.Option(help="SVG file for a calendar of the replay")] = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure alert quality: replay days of a synthetic street through a hub with its own Redis.

    Example: earwitness-hub bench alerts --days 30 --seed 0 --plot calendar.svg --json
    """
    from hub.bench.alert_plot import draw
    from hub.bench.alert_quality import alert_figures, generate_days

    with _progress() as progress:
        drawn = generate_days(days, seed, sensors, performances, progress)
        figures, truth = alert_figures(drawn, load_hub_settings(None, override), feedback=feedback, progress=progress)
    if plot is not None:
        draw(plot, truth)
    _print_figures(f"alerts of {days} days", figures.document(), json_)


@app.command()
@handles_errors
def replay(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="folder with clips/ and labels.csv")],
    only: Annotated[
        list[str] | None, typer.Option(help="print the alerts of this sensor only, as sensor-07; may be repeated")
    ] = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Replay the recordings of a real network in time order, and print the alert texts.

    Example: earwitness-hub bench replay sonyc/ --set sites.timezone=America/New_York
    """
    from hub.bench.replay_recordings import recording_figures

    with _progress() as progress:
        figures = recording_figures(folder, load_hub_settings(None, override), only or (), progress)
    if json_:
        typer.echo(to_json(figures.document()))
        return
    for text in figures.texts:
        typer.echo(f"{text}\n")
    _print_figures(
        "alerts of recordings", {name: of for name, of in figures.document().items() if name != "texts"}, json_
    )


@app.command("web")
@handles_errors
def pages(
    events: Annotated[int, typer.Option(min=1_000, help="events in the archive")] = 100_000,
    repeats: Annotated[int, typer.Option(min=1, help="requests per page; the median counts")] = 20,
    json_: JsonOption = False,
) -> None:
    """Measure the response time of each page and each API call, in milliseconds.

    Needs `mosquitto` and `redis-server`.

    Example: earwitness-hub bench web --events 100000 --json
    """
    from hub.bench.page_latency import page_figures

    with _progress() as progress:
        figures = page_figures(events=events, repeats=repeats, progress=progress)
    _print_figures("pages", asdict(figures), json_)


@app.command()
@handles_errors
def vggish(
    clips: Annotated[
        list[int] | None, typer.Option(min=1, help="clips per batch; may be repeated; 1, 4 and 16 if not given")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="repeats of each measurement; the median counts")] = 5,
    json_: JsonOption = False,
) -> None:
    """Measure clips per second through VGGish in PyTorch, by precision and batch size.

    Example: earwitness-hub bench vggish --clips 1 --clips 8 --json
    """
    from hub.bench.vggish_throughput import vggish_figures

    measured = vggish_figures(clips or (1, 4, 16), repeats)
    if json_:
        typer.echo(to_json([asdict(one) for one in measured]))
        return
    table = Table("precision", "clips at once", "clips a second", "times one clip in float32", title="VGGish")
    for one in measured:
        table.add_row(one.precision, str(one.clips), f"{one.clips_per_s:.2f}", f"{one.times_reference:.1f}")
    plain_console().print(table)


def _checkpoint(path: Path | None) -> "Checkpoint":
    from hub.model.checkpoint import baseline_checkpoint, load

    return load(baseline_checkpoint(VGGISH.id, "paper") if path is None else path)


def _checkpoints(path: Path | None) -> tuple[str, ...]:
    """Return the setting for this VGGish checkpoint, with the shipped checkpoints of other feature spaces."""
    if path is None:
        return ()
    from hub.model.checkpoint import default_checkpoint

    others = [str(default_checkpoint(space)) for space in SHORT_NAMES.values() if space != VGGISH.id]
    return (f"model.checkpoints={json.dumps([str(path.resolve()), *others])}",)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar on standard error; yield a function of (name of the step, share done in [0, 1])."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def _print_figures(title: str, figures: dict[str, Any], json_: bool) -> None:
    if json_:
        typer.echo(to_json(figures))
        return
    table = Table("figure", "value", title=title)
    for name, value in figures.items():
        if isinstance(value, list | dict):
            for row in [value] if isinstance(value, dict) else value:
                table.add_row(name, ", ".join(f"{key} {_short(one)}" for key, one in row.items()))
        else:
            table.add_row(name, _short(value))
    plain_console().print(table)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _yamnet(into: Path) -> list[str]:
    """Return YAMNet's description if the extra `distil` is installed, otherwise an empty list."""
    try:
        from hub.training.distillation.yamnet import yamnet

        return [str(yamnet(into))]
    except ImportError:
        return []
