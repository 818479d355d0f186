"""What leaves the sensor: sound, or what a backbone makes of it."""

import pytest

from edge.extractor import open_extractor
from edge.settings import EdgeSettings
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL


def settings(space: str | None, **source: str) -> EdgeSettings:
    return EdgeSettings.model_validate({"features": {"space": space}, "source": source})


def test_sound_is_sent_unless_the_settings_name_a_feature_space() -> None:
    assert open_extractor(settings(None)) is None
    extractor = open_extractor(settings("earwitness-small"))
    assert extractor is not None
    assert extractor.space == EARWITNESS_SMALL


@pytest.mark.parametrize("name", ["vggish", "logmel", "nonsense"])
def test_what_a_sensor_cannot_compute_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match=name):
        open_extractor(settings(name))


def test_a_description_that_is_not_there_is_reported() -> None:
    with pytest.raises(UnavailableError, match=r"absent\.toml"):
        open_extractor(settings("absent.toml"))


def test_embeddings_are_not_embedded_again() -> None:
    with pytest.raises(InvalidError, match=r"features\.space must not be set"):
        open_extractor(settings("earwitness-small", kind="embeddings", path="e.npz"))
