from pathlib import Path

import pytest

from hub.app.factory import build_retrieval
from hub.model.checkpoint import default_checkpoint
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, SHORT_NAMES
from shared.settings import load_settings


def settings(*paths: Path) -> HubSettings:
    return load_settings(HubSettings, None, [f"model.checkpoints={[str(path) for path in paths]}"])


def test_a_checkpoint_of_the_settings_replaces_that_of_its_own_feature_space_only(tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    own.write_bytes(default_checkpoint(EARWITNESS_SMALL.id).read_bytes())
    retrieval = build_retrieval(settings(own))
    assert sorted(retrieval.spaces) == sorted(SHORT_NAMES.values())


def test_two_checkpoints_of_one_feature_space_are_refused() -> None:
    with pytest.raises(InvalidError, match="more than one checkpoint"):
        build_retrieval(settings(default_checkpoint(EARWITNESS_SMALL.id), default_checkpoint(EARWITNESS_SMALL.id)))
