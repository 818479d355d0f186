"""Select the audio that may leave the sensor next to an embedding.

A clip in which speech is detected loses all of its audio. A detector that recognises one word misses quieter words
beside it, so audio that is silenced only where speech was detected would still contain speech.
"""

from typing import Protocol

from edge.settings import EdgeSettings
from shared.audio import Waveform, encode_flac
from shared.events import Flac


class SpeechDetector(Protocol):
    """Detect speech in a clip."""

    def contains_speech(self, waveform: Waveform, rate_hz: int) -> bool:
        """Return whether a clip (float32 [samples], full scale = 1.0, at a rate in Hz) contains speech."""
        ...


class SoundFilter:
    """Select the audio of each clip, and measure how much of it was withheld.

    Args:
        detector: detector of speech; None withholds nothing.

    Attributes:
        speech_removed_s: length of the clips whose audio was withheld, in seconds.
    """

    def __init__(self, detector: SpeechDetector | None = None) -> None:
        self._detector = detector
        self.speech_removed_s = 0.0

    def select(self, waveform: Waveform, rate_hz: int) -> Flac | None:
        """Return the audio of a clip as FLAC; None if it is withheld.

        Args:
            waveform: float32 [samples], mono, full scale = 1.0.
            rate_hz: sample rate in Hz.
        """
        if self._detector is not None and self._detector.contains_speech(waveform, rate_hz):
            self.speech_removed_s += waveform.size / rate_hz
            return None
        return Flac(encode_flac(waveform, rate_hz))


def open_sound_filter(settings: EdgeSettings) -> SoundFilter | None:
    """Return the filter of the audio next to embeddings; None if the sensor sends none.

    Raises:
        InvalidError: the speech detector is not installed.
    """
    if not settings.sends_sound or settings.feature_space is None:
        return None
    if not settings.privacy.no_speech:
        return SoundFilter()
    from edge.speech_detector import SileroDetector  # noqa: PLC0415 - only this mode needs it

    return SoundFilter(SileroDetector())
