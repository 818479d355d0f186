"""Each file of weights that ships has a card, in Hugging Face's form, that matches the file's own record."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.model.checkpoint import load

ROOT = Path(__file__).parents[1]
CHECKPOINTS = sorted((ROOT / "hub").rglob("*.safetensors"))
BACKBONES = sorted((ROOT / "shared").rglob("*.onnx"))
SECTIONS = ["Intended use", "Limits", "Training data", "Evaluation", "Calibration"]


def card(weights: Path) -> tuple[dict[str, Any], str]:
    """The card's header, and its text."""
    _, header, text = weights.with_suffix(".md").read_text().split("---\n", 2)
    return dict(yaml.safe_load(header)), text


def named(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("weights", files, ids=lambda file: file.stem)


def test_there_are_weights() -> None:
    assert len(CHECKPOINTS) >= 6
    assert BACKBONES


@named([*CHECKPOINTS, *BACKBONES])
def test_a_card_has_a_header_and_its_sections(weights: Path) -> None:
    header, text = card(weights)
    for key in ("license", "library_name", "tags", "datasets", "metrics", "pipeline_tag"):
        assert key in header, key
    for one in header.get("model-index", []):
        assert one["name"] == weights.stem
        for result in one["results"]:
            assert {"type"} <= set(result["task"])
            assert {"type", "name"} <= set(result["dataset"])
            for metric in result["metrics"]:
                assert {"type", "value"} <= set(metric)
                assert metric["type"] in {*header["metrics"], "recall_at_10"}
    assert sorted(re.findall(r"^## (.+)$", text, re.MULTILINE)) == sorted(SECTIONS)


@named(CHECKPOINTS)
def test_a_card_states_what_the_checkpoint_states(weights: Path) -> None:
    stated_value = card(weights)[0]["earwitness"]
    checkpoint = load(weights)
    record = checkpoint.record
    stated = {
        **record,
        "file": weights.name,
        "space": checkpoint.space.id,
        "network": record.get("network", "paper"),
        "parameters": sum(one.numel() for one in checkpoint.network.parameters()),
        "seed": record.get("seed", record["plan"].get("seed")),
        "calibrated": checkpoint.calibration is not None,
    }
    assert stated_value == {key: stated[key] for key in stated_value}
    assert {"clips", "positives", "held_out"} <= set(stated_value)


@named(CHECKPOINTS)
def test_measured_figures_are_those_of_the_records(weights: Path) -> None:
    record = load(weights).record
    for result in (one for index in card(weights)[0].get("model-index", []) for one in index["results"]):
        found = re.match(r"docs/results/\S+\.json", result.get("source", {}).get("name", ""))
        measured = json.loads((ROOT / found[0]).read_text()) if found else {"results": [], "calibration": []}
        method = {"vggish-paper": "paper", "vggish-tagger": "tag-and-compare"}.get(weights.stem, "shipped")
        for metric in result["metrics"]:
            of = metric.get("args", {})
            match metric["type"]:
                case "map" if found:
                    rows = [
                        row["map"]
                        for row in measured["results"]
                        if row["method"] == method and of.items() <= row.items()
                    ]
                case "ece":
                    rows = [
                        row["ece"]
                        for row in measured["calibration"]
                        if row["method"] == method and of.items() <= row.items()
                    ]
                case "roc_auc" if "group" in of:
                    rows = [record["held_out_auc"][of["group"]][of["category"]]]
                case "recall_at_10":
                    rows = [record["sketch"]["recall"][str(of["candidates"])]]
                case _:
                    continue
            assert rows == [metric["value"]], metric


@named(BACKBONES)
def test_a_backbones_card_states_what_its_description_states(weights: Path) -> None:
    stated_value = card(weights)[0]["earwitness"]
    described = tomllib.loads(weights.with_suffix(".toml").read_text())
    assert stated_value == {
        "file": described["model"],
        "space": described["id"],
        **{key: described[key] for key in ("sha256", "rate_hz", "dimension")},
    }
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == stated_value["sha256"]
