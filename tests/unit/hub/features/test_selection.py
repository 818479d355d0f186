"""Which feature space serves sound."""

from pathlib import Path

import pytest

from hub.features.logmel import LogMel
from hub.features.selection import choose_space, extractor_for
from hub.features.vggish.extractor import NETWORK_FILE, PCA_FILE
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.errors import Invalid, Unavailable
from shared.feature_space import LOGMEL, SMALL, VGGISH


def test_sound_becomes_vggish_if_both_its_files_are_there_and_our_own_if_not(tmp_path: Path) -> None:
    without = choose_space(None, tmp_path)
    assert without.space is SMALL
    assert "fetch-vggish" in without.reason
    (tmp_path / NETWORK_FILE).touch()
    assert choose_space(None, tmp_path).space is SMALL
    (tmp_path / PCA_FILE).touch()
    assert choose_space(None, tmp_path).space is VGGISH


def test_a_name_wins(tmp_path: Path) -> None:
    for file in (NETWORK_FILE, PCA_FILE):
        (tmp_path / file).touch()
    assert choose_space("logmel", tmp_path).space is LOGMEL
    assert choose_space(SMALL.id, tmp_path).space is SMALL
    assert choose_space(str(SMALL_FILE), tmp_path).space == SMALL
    with pytest.raises(Invalid, match="unknown feature space 'nonsense'"):
        choose_space("nonsense", tmp_path)


def test_each_space_has_its_extractor(tmp_path: Path) -> None:
    assert isinstance(extractor_for(SMALL.id, tmp_path), Backbone)
    assert isinstance(extractor_for(LOGMEL.id, tmp_path), LogMel)
    with pytest.raises(Unavailable, match="fetch-vggish"):
        extractor_for(VGGISH.id, tmp_path)
    with pytest.raises(Invalid, match="unknown/1"):
        extractor_for("unknown/1", tmp_path)
