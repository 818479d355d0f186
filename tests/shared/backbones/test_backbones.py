"""How feature spaces are named and made known."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import backbones
from shared.backbones import SMALL_FILE, manifest_path, register_backbone, resolve_manifest, resolve_space
from shared.backbones.manifest import read
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, SHORT_NAMES, SPACES, VGGISH, get_space
from tests.backbone_factory import write_backbone


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test brings is unknown to the next."""
    monkeypatch.setattr(backbones, "_brought", dict(backbones._brought))
    known = dict(SPACES)
    yield
    SPACES.clear()
    SPACES.update(known)


def test_short_names_and_ids_name_what_ships() -> None:
    assert [resolve_space(name) for name in SHORT_NAMES] == [VGGISH, EARWITNESS_SMALL, LOGMEL]
    assert all(resolve_space(space.id) is space for space in (VGGISH, LOGMEL, EARWITNESS_SMALL))
    assert resolve_manifest("earwitness-small") == SMALL_FILE


def test_the_description_that_ships_is_of_the_space_that_ships() -> None:
    assert read(SMALL_FILE).space == EARWITNESS_SMALL


def test_a_description_makes_its_space_known_to_the_whole_program(tmp_path: Path) -> None:
    path = write_backbone(tmp_path)
    with pytest.raises(InvalidError, match="unknown feature space 'mine-u8/1'"):
        resolve_space("mine-u8/1")
    space = resolve_space(str(path))
    assert get_space("mine-u8/1") == space
    assert manifest_path("mine-u8/1") == path
    assert register_backbone(path).space == space


def test_an_id_stands_for_one_space_only(tmp_path: Path) -> None:
    register_backbone(write_backbone(tmp_path))
    with pytest.raises(InvalidError, match="another id or version"):
        register_backbone(write_backbone(tmp_path, low=-3.0))
    with pytest.raises(InvalidError, match="another id or version"):
        register_backbone(write_backbone(tmp_path, "theirs", id=EARWITNESS_SMALL.id))


def test_what_is_no_name_is_reported_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="vggish, earwitness-small, logmel, or the path of a manifest"):
        resolve_space("yamnet")
    with pytest.raises(UnavailableError, match=r"absent\.toml"):
        resolve_space(str(tmp_path / "absent.toml"))
    with pytest.raises(InvalidError, match="no backbone"):
        resolve_manifest("logmel")
