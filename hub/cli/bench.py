"""The hub's commands `bench ...`. Each imports its modules when it runs, so that `--help` is fast."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from hub.bench.scenario import PERFORMANCES
from hub.cli.bench_options import (
    CheckpointOption,
    DataOption,
    HubCheckpointOption,
    checkpoint_settings,
    installed_yamnet,
    measured_checkpoint,
    print_figures,
    progress_bar,
)
from hub.cli.options import JsonOption, SetOption, handles_errors, load_hub_settings
from hub.training import plots
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import UnavailableError

if TYPE_CHECKING:
    pass


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
        names = spaces or ["logmel", "earwitness-small", *installed_yamnet(Path(folder)), "vggish"]
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

    figures = asdict(score_figures(measured_checkpoint(checkpoint), data, events, queries, repeats))
    print_figures("one query against many events", figures, json_)


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
    with progress_bar() as progress:
        figures = search_figures(
            measured_checkpoint(checkpoint),
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
    print_figures(f"search among {events:,} events", asdict(figures), json_)


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
    settings = (*checkpoint_settings(checkpoint), *chosen)
    with progress_bar() as progress:
        figures = ingest_figures(
            data, archive=archive, seconds=seconds, rate=rate, settings=settings, progress=progress
        )
    print_figures("ingest", asdict(figures), json_)


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

    with progress_bar() as progress:
        figures = start_figures(data, events=events, settings=checkpoint_settings(checkpoint), progress=progress)
    print_figures("start", asdict(figures), json_)


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

    with progress_bar() as progress:
        drawn = generate_days(days, seed, sensors, performances, progress)
        figures, truth = alert_figures(drawn, load_hub_settings(None, override), feedback=feedback, progress=progress)
    if plot is not None:
        draw(plot, truth)
    print_figures(f"alerts of {days} days", figures.document(), json_)


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

    with progress_bar() as progress:
        figures = recording_figures(folder, load_hub_settings(None, override), only or (), progress)
    if json_:
        typer.echo(to_json(figures.document()))
        return
    for text in figures.texts:
        typer.echo(f"{text}\n")
    print_figures(
        "alerts of recordings", {name: of for name, of in figures.document().items() if name != "texts"}, json_
    )


@app.command("web")
@handles_errors
def pages(
    events: Annotated[int, typer.Option(min=1_000, help="events in the archive")] = 100_000,
    repeats: Annotated[int, typer.Option(min=1, help="requests per page; the median counts")] = 20,
    level_days: Annotated[int, typer.Option(min=1, help="days with levels at each of 50 sensors")] = 365,
    json_: JsonOption = False,
) -> None:
    """Measure the response time of each page and each API call, in milliseconds.

    Needs `mosquitto` and `redis-server`.

    Example: earwitness-hub bench web --events 100000 --json
    """
    from hub.bench.page_latency import page_figures

    with progress_bar() as progress:
        figures = page_figures(events=events, repeats=repeats, level_days=level_days, progress=progress)
    print_figures("pages", asdict(figures), json_)


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
