"""The hub's commands about sound: importing VGGish's weights."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hub.audio.weights import import_weights
from hub.options import ConfigOption, JsonOption, reported, settings_from


@reported
def import_vggish(
    network: Annotated[Path, typer.Option(help="the published vggish-10086976.pth (288 MB)", show_default=False)],
    pca: Annotated[Path, typer.Option(help="the published vggish_pca_params-970ea276.pth", show_default=False)],
    into: Annotated[
        Path | None,
        typer.Option(help="directory to write to; the settings' weights directory if not given"),
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Verify VGGish's published weights and convert them, so that the hub turns sound into VGGish features.

    Both files are at https://github.com/harritaylor/torchvggish/releases/tag/v0.1. Their checksums are
    verified, and nothing in them is executed. Without VGGish the hub uses log-mel features, which retrieve
    less well.

    Example: earwitness-hub import-vggish --network vggish-10086976.pth --pca vggish_pca_params-970ea276.pth
    """
    folder = into or settings_from(config, None).model.weights_dir
    files = import_weights(network, pca, folder.expanduser())
    if json_:
        typer.echo(json.dumps({"written": [str(file) for file in files]}))
    else:
        typer.echo(f"Wrote {files[0]} and {files[1]}. Restart the hub to use VGGish for sound.")


def register(app: typer.Typer) -> None:
    """Add `import-vggish` to the hub's command line."""
    app.command("import-vggish")(import_vggish)
