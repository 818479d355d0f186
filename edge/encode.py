"""From a clip to an event: measure, compress, identify."""

from datetime import datetime
from typing import Final

from edge.clock import within_wire
from edge.sources.protocol import AudioClip, EmbeddingClip
from shared.audio import Waveform, encode_flac, flac_rate, resample
from shared.events import CLIP_S, ClockStatus, Embedding, Event, EventId, Flac, Levels
from shared.extractor import FeatureExtractor
from shared.levels import FLOOR_DBFS, measure

VGGISH_RATE_HZ: Final = 16_000
"""Sample rate of the sound behind a VGGish embedding. Source: AudioSet release of VGGish."""
UNKNOWN_LEVELS: Final = Levels(laeq=FLOOR_DBFS, lafmax=FLOOR_DBFS, unit="dBFS")
"""Levels of an embedding whose maker recorded none: the contract wants levels, the floor claims nothing."""


def encode(
    item: AudioClip | EmbeddingClip,
    event_id: EventId,
    *,
    captured_at: datetime,
    clock: ClockStatus = "unknown",
    backfilled: bool = False,
    full_scale_db_spl: float | None = None,
    extractor: FeatureExtractor | None = None,
) -> Event:
    """Make the event of one clip: sound becomes 16-bit FLAC or features, an embedding is kept.

    Levels are measured at the rate of the recording. Sound is sent at that rate too, or, if it is one that the wire
    contract or FLAC does not have, at the next lower one.

    Args:
        item: the clip.
        event_id: its identity.
        captured_at: start of the clip, timezone-aware; used if the clip is not stamped by a live source. A time that
            no event may bear is sent as the nearest that it may.
        clock: whether the sensor's clock could be trusted.
        backfilled: whether the clip is a replay of an old recording, not heard now.
        full_scale_db_spl: dB SPL of 0 dBFS; None reports dBFS.
        extractor: turns sound into the features that are sent; None sends the sound.

    Raises:
        Invalid: samples that are not finite, or a rate outside the contract.
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
    return Event(
        id=event_id,
        captured_at=within_wire(item.captured_at or captured_at),
        duration_s=item.waveform.size / item.rate_hz,
        rate_hz=rate_hz,
        levels=measure(item.waveform, item.rate_hz, full_scale_db_spl),
        body=_body(resample(item.waveform, item.rate_hz, rate_hz), rate_hz, extractor),
        clock=clock,
        backfilled=backfilled,
    )


def _body(waveform: Waveform, rate_hz: int, extractor: FeatureExtractor | None) -> Flac | Embedding:
    if extractor is None:
        return Flac(encode_flac(waveform, rate_hz))
    return Embedding(extractor.space.id, extractor.extract(waveform, rate_hz))
