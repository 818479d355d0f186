"""The hub's commands `experiments run` and `dataset inspect`."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from hub.cli.options import JsonOption, handles_errors
from hub.cli.training import CACHE, CacheOption, cache_of
from shared.command_line import to_json
from shared.console import plain_console
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH
from shared.paths import expanded
from shared.taxonomy import CATEGORIES


@handles_errors
def report(
    audioset: Annotated[
        Path | None, typer.Option(help="folder of the AudioSet benchmark, for the VGGish rows", show_default=False)
    ] = None,
    recordings: Annotated[
        list[Path] | None,
        typer.Option(
            help="folders of recordings for the rows of log-mel and earwitness-small, the benchmark's first; ESC-10"
            " for few-shot; may be repeated",
            show_default=False,
        ),
    ] = None,
    into: Annotated[Path, typer.Option(help="folder of results.md, its plots and its records")] = Path("docs"),
    work: Annotated[Path, typer.Option(help="folder of trained networks")] = Path("~/.cache/earwitness/report"),
    cache: CacheOption = CACHE,
    run: Annotated[bool, typer.Option(help="run the experiments that have no record yet")] = True,
    json_: JsonOption = False,
) -> None:
    """Train and measure all compared networks, and write results.md with tables and plots.

    This takes hours on two cores. Each experiment writes a record, and the command skips experiments that have one.
    After an interruption, run the same command again to continue.

    Example: earwitness-hub experiments run --audioset audioset/ --recordings sonyc/ --recordings esc10/
    """
    from hub.training.paper.experiments import ExperimentRunner, experiments
    from hub.training.paper.report import write_results

    console = Console(stderr=True)
    folders = {
        space.id: tuple(given)
        for space, given in (
            (VGGISH, [audioset] if audioset else []),
            (LOGMEL, recordings),
            (EARWITNESS_SMALL, recordings),
        )
        if given
    }
    laboratory = ExperimentRunner(folders, expanded(work), into / "results", cache_of(cache), console.print)
    planned = list(experiments())
    if run:
        for number, experiment in enumerate(planned, 1):
            console.print(f"[{number}/{len(planned)}] {experiment.name}")
            laboratory.run(experiment)
    records = [record for experiment in planned if (record := laboratory.record(experiment)) is not None]
    write_results(records, into)
    if json_:
        typer.echo(to_json({"file": str(into / "results.md"), "records": len(records), "planned": len(planned)}))
    else:
        typer.echo(f"Wrote {into / 'results.md'} from {len(records)} of {len(planned)} experiments.")


@handles_errors
def annotations(
    file: Annotated[Path, typer.Argument(help="SONYC-UST's annotations.csv, of version 0.4 to 2.3")],
    seed: Annotated[int, typer.Option(min=0, help="seed of the pair sampling")] = 0,
    json_: JsonOption = False,
) -> None:
    """Aggregate SONYC-UST's annotations: clips and categories per split, and the paper's training pairs.

    Example: earwitness-hub dataset inspect sonyc-ust sonyc-ust/annotations.csv
    """
    from hub.training.datasets.sonyc_ust import PAPER_PAIRS, TRAIN, positives, read_annotations
    from hub.training.pair_sampling import draw_pairs

    data = read_annotations(file)
    pairs = draw_pairs(data.labels[data.splits == TRAIN], np.random.default_rng(seed))
    facts: dict[str, dict[str, Any]] = {
        split: {
            "clips": int((data.splits == split).sum()),
            "annotations_per_clip": round(float(data.votes[data.splits == split].mean()), 2),
            "positives": positives(data, split),
        }
        for split in sorted(set(data.splits.tolist()))
    }
    if json_:
        typer.echo(to_json({"splits": facts, "pairs": len(pairs), "pairs_in_the_paper": PAPER_PAIRS}))
        return
    table = Table(title=file.name)
    for column in ("clips with", *facts):
        table.add_column(column)
    for category in CATEGORIES:
        table.add_row(category, *(str(fact["positives"][category]) for fact in facts.values()))
    table.add_row("all clips", *(str(fact["clips"]) for fact in facts.values()))
    table.add_row("annotations a clip", *(str(fact["annotations_per_clip"]) for fact in facts.values()))
    plain_console().print(table)
    typer.echo(f"Pairs of the training split as in section 4.2: {len(pairs):,} (the paper: {PAPER_PAIRS:,}).")


def register(app: typer.Typer) -> None:
    """Add `experiments run` and `dataset inspect` to the hub's command line."""
    experiments = typer.Typer(no_args_is_help=True, help="Train and measure the compared networks.")
    experiments.command("run")(report)
    app.add_typer(experiments, name="experiments")
    inspect = typer.Typer(no_args_is_help=True, help="Show the contents of a data set.")
    inspect.command("sonyc-ust")(annotations)
    dataset = typer.Typer(no_args_is_help=True, help="Data sets to train with.")
    dataset.add_typer(inspect, name="inspect")
    app.add_typer(dataset, name="dataset")
