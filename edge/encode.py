"""Make an event of a clip: measure its sound level, compress it, and give it an id."""

from datetime import datetime
from typing import Final

from edge.calibration.in_force import LevelCalibration
from edge.clock import within_wire
from edge.sound_filter import SoundFilter
from edge.sources.protocol import AudioClip, EmbeddingClip
from shared.audio import Waveform, encode_flac, flac_rate, resample
from shared.events import CLIP_S, ClockStatus, Embedding, Event, EventId, Flac, Levels
from shared.extractor import FeatureExtractor
from shared.levels.meter import FLOOR_DBFS, LevelMeter, Measurement

VGGISH_RATE_HZ: Final = 16_000
"""Sample rate of VGGish's input audio. Source: AudioSet release of VGGish."""
UNKNOWN_LEVELS: Final = Levels(laeq=FLOOR_DBFS, lafmax=FLOOR_DBFS, unit="dBFS")
"""Levels of an embedding without recorded levels. Events must have levels, so they get the floor."""


def encode(
    item: AudioClip | EmbeddingClip,
    event_id: EventId,
    *,
    captured_at: datetime,
    clock: ClockStatus = "unknown",
    backfilled: bool = False,
    measured: Measurement | None = None,
    calibration: LevelCalibration | None = None,
    extractor: FeatureExtractor | None = None,
    sound: SoundFilter | None = None,
) -> Event:
    """Return the event of one clip. Audio becomes 16-bit FLAC or an embedding; an embedding is kept.

    Levels are measured at the rate of the recording. Audio is sent at that rate if events and FLAC allow it, and
    otherwise at the next lower rate that they allow.

    Args:
        item: the clip.
        event_id: id of the event.
        captured_at: start of the clip, timezone-aware; used if no live source stamped the clip. A time outside the
            range of events is replaced by the nearest one inside.
        clock: whether the sensor's clock could be trusted.
        backfilled: whether the clip is a replay of an old recording.
        measured: levels of the clip from `measure`; None measures it with a new meter.
        calibration: makes sound pressure levels of samples; None reports dBFS.
        extractor: computes the embedding to send; None sends audio.
        sound: selects the audio to send next to the embedding; None sends none.

    Raises:
        InvalidError: samples that are not finite, or a rate that events do not allow.
    """
    if isinstance(item, EmbeddingClip):
        return Event(
            id=event_id,
            captured_at=within_wire(captured_at),
            duration_s=CLIP_S,
            rate_hz=VGGISH_RATE_HZ,
            levels=item.levels or UNKNOWN_LEVELS,
            body=item.embedding,
            clock=clock,
            backfilled=backfilled,
        )
    rate_hz = flac_rate(item.rate_hz)
    calibration = calibration or LevelCalibration()
    measured = measured or measure(item, calibration)
    waveform = resample(item.waveform, item.rate_hz, rate_hz)
    return Event(
        id=event_id,
        captured_at=within_wire(item.captured_at or captured_at),
        duration_s=item.waveform.size / item.rate_hz,
        rate_hz=rate_hz,
        levels=measured.levels,
        body=_body(waveform, rate_hz, extractor),
        clock=clock,
        backfilled=backfilled,
        calibration=calibration.record,
        sound=None if extractor is None or sound is None else sound.select(waveform, rate_hz),
    )


def measure(item: AudioClip, calibration: LevelCalibration, meter: LevelMeter | None = None) -> Measurement:
    """Return the levels of a clip and of its seconds.

    Args:
        item: the clip.
        calibration: makes sound pressure levels of samples. Its full scale applies to a new meter only.
        meter: measures the clip before it too if there is no gap; None measures with a new meter, and the sound ends
            with the clip.

    Raises:
        InvalidError: samples that are not finite.
    """
    corrected = calibration.corrected(item.waveform, item.rate_hz)
    if meter is None:
        return LevelMeter(item.rate_hz, calibration.full_scale_db_spl).measure(corrected, last=True)
    return meter.measure(corrected)


def _body(waveform: Waveform, rate_hz: int, extractor: FeatureExtractor | None) -> Flac | Embedding:
    if extractor is None:
        return Flac(encode_flac(waveform, rate_hz))
    return Embedding(extractor.space.id, extractor.extract(waveform, rate_hz))
