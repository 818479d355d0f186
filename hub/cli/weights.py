"""The hub's command `weights fetch vggish`."""

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
            "--from", help="use a published file, or a folder with both, instead of a download; may be repeated"
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="URL of a mirror with the two published files")] = None,
    into: Annotated[
        Path | None, typer.Option(help="folder to write to; features.vggish_weights_dir if not given")
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, max=100, help="maximum number of attempts per file")] = 5,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Download VGGish's published weights, verify and convert them, so that the hub embeds audio with VGGish.

    The download is 288 MB from https://github.com/harritaylor/torchvggish/releases/tag/v0.1. An interrupted download
    continues where it stopped, and the command skips files that are complete. It verifies checksums and executes
    nothing in the files. Without VGGish the hub embeds audio with earwitness-small.

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
        typer.echo(f"Wrote {' and '.join(map(str, fetched.written))}. Restart the hub to use VGGish for audio.")
    else:
        typer.echo(f"VGGish's weights are in {folder} already.")


def register(app: typer.Typer) -> None:
    """Add `weights fetch vggish` to the hub's command line."""
    fetching = typer.Typer(no_args_is_help=True, help="Download the weights of a network.")
    fetching.command("vggish")(fetch)
    weights = typer.Typer(no_args_is_help=True, help="Network weights that are not included.")
    weights.add_typer(fetching, name="fetch")
    app.add_typer(weights, name="weights")
