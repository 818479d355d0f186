"""The hub's command `export-edge`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from shared.command_line import to_json
from shared.errors import UnavailableError
from shared.paths import expanded


@handles_errors
def export_edge(
    into: Annotated[Path, typer.Option(help="folder to write vggish.onnx and vggish.toml to", show_default=False)],
    weights: Annotated[
        Path | None,
        typer.Option(help="folder of VGGish's weights; features.vggish_weights_dir if not given"),
    ] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write VGGish as an ONNX file for sensors, so that they send the same embeddings as the hub computes.

    A clip of 10 s (float32 [160000] at 16 kHz) becomes uint8 [10, 128]: front end, network, PCA and quantisation are
    in the file. The command compares it with PyTorch over eight sounds, from silence to full scale, and prints the
    largest difference in steps of 255. If more than 0.1 % of the bytes differ by more than one step, it writes
    nothing.

    It needs VGGish's weights (`earwitness-hub weights fetch vggish`), the optional dependencies `export`, 3 GB of
    memory and 300 MB of disk. A sensor needs none of these dependencies, and 650 MB of memory.

    Example: earwitness-hub export-edge --into edge-model/

    Copy both files to the sensor. To measure and to run it there:

    earwitness-edge bench --set features.space=/etc/earwitness/vggish.toml

    earwitness-edge run --set features.space=/etc/earwitness/vggish.toml
    """
    try:
        from hub.training.edge_export.vggish_export import export_edge as write
    except ModuleNotFoundError as error:
        raise UnavailableError(f"{error}: pip install 'earwitness[export]'") from error
    folder = expanded(weights or load_hub_settings(config, override).features.vggish_weights_dir)
    with Console(stderr=True).status("starting") as status:
        done = write(folder, expanded(into), status.update)
    if json_:
        typer.echo(to_json(asdict(done) | {"manifest": str(done.manifest), "model": str(done.model)}))
        return
    difference = done.difference
    typer.echo(f"Wrote {done.model} ({done.model_bytes / 1e6:.1f} MB) and {done.manifest}.")
    typer.echo(
        f"Of {difference.compared} bytes, {difference.different} differ from PyTorch's, the largest difference is"
        f" {difference.max_steps} of 255 steps; {difference.over_one_step} differ by more than one step."
    )
    typer.echo(f"Copy both to the sensor and set features.space to the path of {done.manifest.name}.")


def register(app: typer.Typer) -> None:
    """Add `export-edge` to the hub's command line."""
    app.command("export-edge")(export_edge)
