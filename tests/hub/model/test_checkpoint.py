import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hub.model.checkpoint import Checkpoint, default_checkpoint, load, save
from hub.model.siamese import NetworkConfig, SiameseNetwork
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import LOGMEL, VGGISH

SMALL = NetworkConfig(frames=10, dimension=128, tower=(8, 8), pair=(6, 4))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save(path, Checkpoint(SiameseNetwork(SMALL).eval(), VGGISH, {"seed": 7, "epochs": [1, 2]}))
    return path


def edited(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> Path:
    """The same file with its document or tensors changed."""
    with safe_open(path, framework="pt") as opened:
        document = json.loads(opened.metadata()["earwitness"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(document, tensors)
    save_file(tensors, path, metadata={"earwitness": json.dumps(document)})
    return path


@pytest.mark.parametrize(
    "changes",
    [{}, {"tower": ()}, {"attention": False}, {"models": 8}, {"models": 8, "tower": (), "attention": False}],
)
def test_what_is_saved_is_loaded_ready_to_score(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = replace(SMALL, **changes)
    network = SiameseNetwork(config).eval()
    save(tmp_path / "new" / "a.safetensors", Checkpoint(network, VGGISH, {"seed": 7}))
    found = load(tmp_path / "new" / "a.safetensors")
    clips = torch.randn(2, 3, 10, 128)
    assert torch.equal(found.network(*clips), network(*clips))
    assert not found.network.training
    assert found.network.config == config
    assert found.space == VGGISH
    assert found.record == {"seed": 7}
    assert not list((tmp_path / "new").glob("*.partial"))


def test_a_network_of_another_space_makes_no_checkpoint() -> None:
    with pytest.raises(InvalidError, match="cannot serve"):
        Checkpoint(SiameseNetwork(SMALL), LOGMEL, {})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d, _t: d.update(format="other/1"), "format"),
        (lambda d, _t: d["space"].update(id="unknown/1"), "unknown feature space"),
        (lambda d, _t: d["space"].update(high=3.0), "feature space"),
        (lambda d, _t: d.update(space=None), "space"),
        (lambda d, _t: d["taxonomy"]["categories"].reverse(), "taxonomy"),
        (lambda d, _t: d["network"].update(speed=1), "configuration"),
        (lambda d, _t: d["network"].update(frames=-1), "sizes"),
        (lambda d, _t: d["network"].update(tower=[8, 9]), "tensor"),
        (lambda d, _t: d["network"].update(tower=8), "configuration"),
        (lambda d, _t: d["network"].update(models=8), "tensor"),
        (lambda d, _t: d["network"].update(models=5), "sub-models"),
        (lambda d, _t: d["network"].update(attention=False), "unknown tensors: attention"),
        (lambda _d, t: t.pop("attention.bias"), "missing: attention.bias"),
        (lambda _d, t: t.update(more=torch.zeros(1)), "unknown tensors: more"),
        (lambda _d, t: t["attention.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(
    file: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None], reason: str
) -> None:
    with pytest.raises(InvalidError, match=reason):
        load(edited(file, change))


def test_what_is_no_checkpoint_at_all_is_refused(tmp_path: Path) -> None:
    text, bare = tmp_path / "text", tmp_path / "bare"
    text.write_text("hello")
    save_file({"a": torch.zeros(1)}, bare)
    with pytest.raises(InvalidError, match="not a safetensors file"):
        load(text)
    with pytest.raises(InvalidError, match="no Earwitness metadata"):
        load(bare)


def test_a_file_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        load(tmp_path / "nothing")


def test_a_file_from_before_there_were_variants_is_the_papers_network(file: Path) -> None:
    def older(document: dict[str, Any], _tensors: dict[str, torch.Tensor]) -> None:
        for field in ("attention", "models"):
            del document["network"][field]

    assert load(edited(file, older)).network.config == SMALL


@pytest.mark.parametrize("space", [VGGISH, LOGMEL], ids=lambda space: space.id)
def test_each_space_has_a_small_shipped_checkpoint_with_a_card(space: Any) -> None:
    path = default_checkpoint(space.id)
    found = load(path)
    assert found.space == space
    assert path.stat().st_size < 9_000_000
    assert found.record["plan"]["seed"] >= 0
    card = path.with_suffix(".md").read_text()
    assert "CC BY" in card
    assert "earwitness-hub train" in card


def test_no_checkpoint_is_shipped_for_an_unknown_space() -> None:
    with pytest.raises(InvalidError, match="unknown/1"):
        default_checkpoint("unknown/1")
