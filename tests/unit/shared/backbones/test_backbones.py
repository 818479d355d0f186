"""How feature spaces are named and made known."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import backbones
from shared.backbones import SMALL_FILE, bring, described, find, space_named
from shared.backbones.manifest import read
from shared.errors import Invalid, Unavailable
from shared.feature_space import LOGMEL, SHORT_NAMES, SMALL, SPACES, VGGISH, space_of
from tests.backbones import write_backbone


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test brings is unknown to the next."""
    monkeypatch.setattr(backbones, "_brought", dict(backbones._brought))
    known = dict(SPACES)
    yield
    SPACES.clear()
    SPACES.update(known)


def test_short_names_and_ids_name_what_ships() -> None:
    assert [space_named(name) for name in SHORT_NAMES] == [VGGISH, SMALL, LOGMEL]
    assert all(space_named(space.id) is space for space in (VGGISH, LOGMEL, SMALL))
    assert find("earwitness-small") == SMALL_FILE


def test_the_description_that_ships_is_of_the_space_that_ships() -> None:
    assert read(SMALL_FILE).space == SMALL


def test_a_description_makes_its_space_known_to_the_whole_program(tmp_path: Path) -> None:
    path = write_backbone(tmp_path)
    with pytest.raises(Invalid, match="unknown feature space 'mine-u8/1'"):
        space_named("mine-u8/1")
    space = space_named(str(path))
    assert space_of("mine-u8/1") == space
    assert described("mine-u8/1") == path
    assert bring(path).space == space


def test_an_id_stands_for_one_space_only(tmp_path: Path) -> None:
    bring(write_backbone(tmp_path))
    with pytest.raises(Invalid, match="another id or version"):
        bring(write_backbone(tmp_path, low=-3.0))
    with pytest.raises(Invalid, match="another id or version"):
        bring(write_backbone(tmp_path, "theirs", id=SMALL.id))


def test_what_is_no_name_is_told_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="vggish, earwitness-small, logmel, or the path of a description"):
        space_named("yamnet")
    with pytest.raises(Unavailable, match=r"absent\.toml"):
        space_named(str(tmp_path / "absent.toml"))
    with pytest.raises(Invalid, match="no backbone"):
        find("logmel")
