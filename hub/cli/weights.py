"""The hub's commands about sound: fetching VGGish's weights."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hub.cli.options import ConfigOption, JsonOption, handles_errors, load_hub_settings
from hub.features.vggish.download import RetryPolicy, Tick
from hub.features.vggish.published import TORCHVGGISH, PublishedFile, PublishedRelease
from shared.command_line import to_json
from shared.paths import expanded


@handles_errors
def fetch(
    context: typer.Context,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", help="published file, or directory with both, instead of the network; may be repeated"
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="a mirror: where the two published files are")] = None,
    into: Annotated[
        Path | None, typer.Option(help="directory to write to; the settings' weights directory if not given")
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, max=100, help="tries per file before giving up")] = 5,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Download VGGish's published weights, verify and convert them, so that the hub turns sound into VGGish features.

    288 MB from https://github.com/harritaylor/torchvggish/releases/tag/v0.1, once. An interrupted download
    goes on where it stopped; what is here already is not downloaded again. Checksums are verified, and
    nothing in the files is executed. Without VGGish the hub uses log-mel features, which retrieve less well.

    Example: earwitness-hub weights fetch vggish

    Without internet: earwitness-hub weights fetch vggish --from vggish-10086976.pth --from
    vggish_pca_params-970ea276.pth
    """
    from hub.features.vggish.fetch import fetch_vggish

    release: PublishedRelease = context.obj or TORCHVGGISH  # tests publish their own
    if url is not None:
        release = dataclasses.replace(release, url=url.rstrip("/"))
    folder = expanded(into or load_hub_settings(config, None).features.vggish_weights_dir)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:

        def ticks(file: PublishedFile) -> Tick:
            task = progress.add_task(file.name, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        fetched = fetch_vggish(
            release, folder, offered=from_ or (), patience=RetryPolicy(attempts=attempts), ticks=ticks
        )
    if json_:
        done = dataclasses.asdict(fetched)
        typer.echo(to_json({name: [str(file) for file in files] for name, files in done.items()}))
    elif fetched.written:
        typer.echo(f"Wrote {' and '.join(map(str, fetched.written))}. Restart the hub to use VGGish for sound.")
    else:
        typer.echo(f"VGGish's weights are in {folder} already.")


def register(app: typer.Typer) -> None:
    """Add `weights fetch vggish` to the hub's command line."""
    fetching = typer.Typer(no_args_is_help=True, help="Download the weights of a network.")
    fetching.command("vggish")(fetch)
    weights = typer.Typer(no_args_is_help=True, help="Weights that do not ship.")
    weights.add_typer(fetching, name="fetch")
    app.add_typer(weights, name="weights")
