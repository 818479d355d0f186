import numpy as np
import pytest
from hypothesis import given

from shared.errors import InvalidError
from shared.events import Embedding, EventId, Levels
from shared.feature_space import LOGMEL, VGGISH, FeatureSpace, get_space
from tests.factories import event_ids


@given(event_ids)
def test_an_event_id_reads_back_from_its_text(event_id: EventId) -> None:
    assert EventId.parse(str(event_id)) == event_id


NOT_IDS = ["", "a", "a.b.1", "s.a.b", "s.a.b.", "s.a.b.x", "s.a.b.-1", "s.A.b.1", "S.a.b.1", "s.a.b.1.2", "s/a.b.c.1"]


@pytest.mark.parametrize("text", NOT_IDS)
def test_other_text_is_not_an_event_id(text: str) -> None:
    with pytest.raises(InvalidError):
        EventId.parse(text)


@pytest.mark.parametrize("level", [float("nan"), float("inf"), -201.0, 201.0])
def test_a_level_must_be_a_finite_number_of_decibels(level: float) -> None:
    with pytest.raises(InvalidError):
        Levels(level, 0.0)


def test_an_embedding_must_have_its_spaces_shape_and_dtype() -> None:
    with pytest.raises(InvalidError, match="wants uint8"):
        Embedding(VGGISH.id, np.zeros((9, 128), np.uint8))
    with pytest.raises(InvalidError, match="wants uint8"):
        Embedding(VGGISH.id, np.zeros(VGGISH.shape, np.float32))
    with pytest.raises(InvalidError, match="unknown feature space"):
        Embedding("other/1", np.zeros(VGGISH.shape, np.uint8))


@pytest.mark.parametrize("space", [VGGISH, LOGMEL])
def test_quantisation_is_within_half_a_step_and_bytes_read_back_exactly(space: FeatureSpace) -> None:
    step = (space.high - space.low) / 255
    values = np.linspace(space.low, space.high, 1000)
    assert np.abs(space.dequantise(space.quantise(values)) - values).max() <= step / 2 + 1e-5
    every = np.arange(256, dtype=np.uint8)
    assert (space.quantise(space.dequantise(every)) == every).all()
    assert space.quantise(np.array([space.low - 9, space.high + 9])).tolist() == [0, 255]
    assert get_space(space.id) is space


def test_vggish_bytes_mean_what_the_audioset_release_states() -> None:
    assert VGGISH.dequantise(np.array([0, 51, 255], np.uint8)).tolist() == pytest.approx([-2.0, -1.2, 2.0])
