"""The command `export-edge`."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from edge.bench import run_process
from hub.cli import app
from hub.features.vggish.extractor import Vggish
from shared.backbones.manifest import read
from tests.narrow_vggish import narrow_vggish

PLAIN = {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"}
invoke = CliRunner(env=PLAIN).invoke


def export(into: Path, weights: Path, *more: str) -> Sequence[str]:
    return ["export-edge", "--into", str(into), "--weights", str(weights), *more]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights from which a narrow network is loaded."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "vggish.safetensors").write_bytes(b"the network")
    (folder / "vggish_pca.safetensors").write_bytes(b"the projection")

    def load(weights_dir: Path, dtype: torch.dtype) -> Vggish:
        assert (weights_dir, dtype) == (folder, torch.float32)
        return narrow_vggish()

    monkeypatch.setattr(Vggish, "load", load)
    return folder


def test_its_help_states_what_it_needs_and_what_comes_next() -> None:
    shown = invoke(app, ["export-edge", "--help"]).stdout
    for words in ("--into", "--json", "earwitness-hub weights fetch vggish", "earwitness-edge run"):
        assert words in shown


def test_missing_weights_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    done = invoke(app, export(tmp_path / "new", tmp_path / "nothing"))
    assert done.exit_code == 1
    assert "run `earwitness-hub weights fetch vggish`" in done.stderr
    assert not (tmp_path / "new").exists()


def test_without_the_extra_one_line_states_how_to_get_it(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hub.training.edge_export.vggish_export", None)
    done = invoke(app, export(tmp_path, weights))
    assert done.exit_code == 1
    assert "pip install 'earwitness[export]'" in done.stderr


def test_it_states_the_file_and_the_difference_from_torch(tmp_path: Path, weights: Path) -> None:
    made = tmp_path / "made"
    done = invoke(app, export(made, weights))
    assert done.exit_code == 0, done.output
    assert f"Wrote {made}/vggish.onnx" in done.stdout
    assert "Of 10240 bytes," in done.stdout
    assert "the largest difference is" in done.stdout


def test_its_json_names_file_weights_and_difference(tmp_path: Path, weights: Path) -> None:
    made = tmp_path / "made"
    found = json.loads(invoke(app, export(made, weights, "--json")).stdout)
    assert read(Path(found["manifest"])).sha256 == found["model_sha256"]
    assert found["model_bytes"] == Path(found["model"]).stat().st_size
    assert len(found["metadata"]["weights_sha256"]) == len(found["metadata"]["pca_sha256"]) == 64
    assert found["metadata"]["software"].startswith("earwitness-hub ")
    assert found["metadata"]["opset"] == "20"
    assert found["difference"]["compared"] == 10_240
    assert found["difference"]["over_one_step"] == 0


@pytest.mark.skipif("EARWITNESS_VGGISH_WEIGHTS" not in os.environ, reason="names what fetch-vggish wrote to")
def test_the_whole_network_has_the_bytes_of_torch_and_fits_a_sensor(tmp_path: Path) -> None:
    done = invoke(app, export(tmp_path, Path(os.environ["EARWITNESS_VGGISH_WEIGHTS"]), "--json"))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["difference"]["max_steps"] <= 1
    cost = run_process("embedding", found["manifest"], 1)
    assert cost["forbidden"] == []
    assert cost["peak_mb"] <= 400 + found["model_bytes"] / 1e6
