"""From a clip to an event."""

from datetime import timedelta

import numpy as np
import pytest

from edge.calibration.in_force import LevelCalibration
from edge.encode import UNKNOWN_LEVELS, encode
from edge.sources import AudioClip, EmbeddingClip
from shared.audio import decode_flac
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError
from shared.events import Calibration, Embedding, EventId, Flac, Levels
from shared.feature_space import EARWITNESS_SMALL, VGGISH
from shared.messages.event import decode_event, encode_event
from tests.factories import NOON

ID = EventId("demo", "s", "b", 3)


def test_sound_becomes_flac_at_its_own_rate_with_measured_levels() -> None:
    tone = np.sin(np.arange(160_000) * 2 * np.pi * 1_000 / 16_000).astype(np.float32)
    event = encode(AudioClip(tone * np.float32(0.1), 16_000), ID, captured_at=NOON)
    assert (event.duration_s, event.rate_hz, event.captured_at) == (10.0, 16_000, NOON)
    assert event.levels.laeq == pytest.approx(-20.0, abs=0.1)
    assert isinstance(event.body, Flac)
    decoded, rate_hz = decode_flac(event.body.data)
    assert rate_hz == 16_000
    np.testing.assert_allclose(decoded, 0.1 * tone, atol=1e-4)
    assert decode_event(encode_event(event)) == event


def test_with_an_extractor_features_leave_and_levels_are_still_of_the_sound() -> None:
    backbone = Backbone(SMALL_FILE)
    tone = np.sin(np.arange(480_000) * 2 * np.pi * 1_000 / 48_000).astype(np.float32)
    clip = AudioClip(tone * np.float32(0.1), 48_000)
    event = encode(clip, ID, captured_at=NOON, extractor=backbone)
    assert isinstance(event.body, Embedding)
    assert event.body.space == EARWITNESS_SMALL.id
    np.testing.assert_array_equal(event.body.features, backbone.extract(clip.waveform, 48_000))
    assert event.levels == encode(clip, ID, captured_at=NOON).levels
    assert decode_event(encode_event(event)) == event


def test_a_live_clips_own_time_wins() -> None:
    received = NOON - timedelta(seconds=12)
    clip = AudioClip(np.ones(8_000, dtype=np.float32), 8_000, captured_at=received)
    assert encode(clip, ID, captured_at=NOON).captured_at == received


def test_calibration_reaches_the_event() -> None:
    clip = AudioClip(np.ones(8_000, dtype=np.float32), 8_000)
    record = Calibration("2026-11-30-1f3c5a", NOON - timedelta(days=12))
    event = encode(clip, ID, captured_at=NOON, calibration=LevelCalibration(110.0, record))
    assert event.levels.unit == "dB"
    assert event.levels.laeq == pytest.approx(encode(clip, ID, captured_at=NOON).levels.laeq + 110.0)
    assert event.calibration == record
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("levels", [None, Levels(-30.0, -20.0)])
def test_an_embedding_is_kept_with_its_levels_or_the_floor(levels: Levels | None) -> None:
    embedding = Embedding(VGGISH.id, np.zeros(VGGISH.shape, dtype=np.uint8))
    event = encode(EmbeddingClip(embedding, levels), ID, captured_at=NOON)
    assert event.body is embedding
    assert event.levels == (levels or UNKNOWN_LEVELS)


def test_sound_outside_the_contract_is_refused() -> None:
    with pytest.raises(InvalidError):
        encode(AudioClip(np.full(8_000, np.nan, dtype=np.float32), 8_000), ID, captured_at=NOON)
    with pytest.raises(InvalidError):
        encode(AudioClip(np.ones(100, dtype=np.float32), 10), ID, captured_at=NOON)


@pytest.mark.parametrize(
    ("rate_hz", "sent_hz"),
    [
        *((8_000, 8_000), (44_100, 44_100), (65_535, 65_535), (65_536, 65_530), (97_656, 97_650)),
        *((197_368, 197_360), (250_000, 250_000), (384_000, 384_000), (500_000, 384_000)),
    ],
)
def test_sound_of_any_rate_is_sent_at_one_that_flac_and_the_contract_have(rate_hz: int, sent_hz: int) -> None:
    tone = (0.1 * np.sin(np.arange(10 * rate_hz) * 2 * np.pi * 1_000 / rate_hz)).astype(np.float32)
    event = encode(AudioClip(tone, rate_hz), ID, captured_at=NOON)
    assert (event.rate_hz, event.duration_s) == (sent_hz, 10.0)
    assert event.levels.laeq == pytest.approx(-20.0, abs=0.1)
    assert isinstance(event.body, Flac)
    decoded, decoded_hz = decode_flac(event.body.data)
    assert (decoded_hz, decoded.size) == (sent_hz, 10 * sent_hz)
    assert int(np.abs(np.fft.rfft(decoded)).argmax()) == 10_000
