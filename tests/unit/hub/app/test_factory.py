from pathlib import Path

import pytest

from hub.app.factory import open_retrieval
from hub.model.checkpoint import shipped
from hub.settings import HubSettings
from shared.errors import Invalid
from shared.feature_space import SHORT_NAMES, SMALL
from shared.settings import load


def settings(*paths: Path) -> HubSettings:
    return load(HubSettings, None, [f"model.checkpoints={[str(path) for path in paths]}"])


def test_a_checkpoint_of_the_settings_replaces_that_of_its_own_feature_space_only(tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    own.write_bytes(shipped(SMALL.id).read_bytes())
    retrieval = open_retrieval(settings(own))
    assert sorted(retrieval.spaces) == sorted(SHORT_NAMES.values())


def test_two_checkpoints_of_one_feature_space_are_refused() -> None:
    with pytest.raises(Invalid, match="more than one checkpoint"):
        open_retrieval(settings(shipped(SMALL.id), shipped(SMALL.id)))
