"""Which feature space serves sound."""

from pathlib import Path

import pytest

from hub.features.logmel import LogMel
from hub.features.selection import load_extractor, select_space
from hub.features.vggish.extractor import NETWORK_FILE, PCA_FILE
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH


def test_sound_becomes_vggish_if_both_its_files_are_there_and_our_own_if_not(tmp_path: Path) -> None:
    without = select_space(None, tmp_path)
    assert without.space is EARWITNESS_SMALL
    assert "weights fetch vggish" in without.reason
    (tmp_path / NETWORK_FILE).touch()
    assert select_space(None, tmp_path).space is EARWITNESS_SMALL
    (tmp_path / PCA_FILE).touch()
    assert select_space(None, tmp_path).space is VGGISH


def test_a_name_wins(tmp_path: Path) -> None:
    for file in (NETWORK_FILE, PCA_FILE):
        (tmp_path / file).touch()
    assert select_space("logmel", tmp_path).space is LOGMEL
    assert select_space(EARWITNESS_SMALL.id, tmp_path).space is EARWITNESS_SMALL
    assert select_space(str(SMALL_FILE), tmp_path).space == EARWITNESS_SMALL
    with pytest.raises(InvalidError, match="unknown feature space 'nonsense'"):
        select_space("nonsense", tmp_path)


def test_each_space_has_its_extractor(tmp_path: Path) -> None:
    assert isinstance(load_extractor(EARWITNESS_SMALL.id, tmp_path), Backbone)
    assert isinstance(load_extractor(LOGMEL.id, tmp_path), LogMel)
    with pytest.raises(UnavailableError, match="weights fetch vggish"):
        load_extractor(VGGISH.id, tmp_path)
    with pytest.raises(InvalidError, match="unknown/1"):
        load_extractor("unknown/1", tmp_path)
