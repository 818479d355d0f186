"""Measure the speech detector on recorded streets mixed with recorded speech, from two folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from edge.sound_filter import SpeechDetector
from shared.audio import Waveform, resample
from shared.errors import InvalidError
from shared.events import CLIP_S
from shared.levels.meter import LevelMeter

MIX_RATE_HZ: Final = 16_000
SHORTEST_S: Final = 0.4
"""Shorter recordings contain no word."""
SPEECH_S: Final = (1.0, 8.0)
"""Least and most seconds of speech in a mixture."""
SUFFIXES: Final = frozenset({".wav", ".flac", ".ogg"})


@dataclass(frozen=True, slots=True)
class SpeechFigures:
    """Amounts of speech that the detector removes.

    Attributes:
        mixtures: clips of street and speech.
        speech_s: seconds of speech in them.
        removed_s: seconds of speech in the mixtures whose audio was withheld.
        removed_share: `removed_s` over `speech_s`.
        street_clips: clips without speech.
        withheld_clips: those whose audio was withheld.
        withheld_share: `withheld_clips` over `street_clips`.
    """

    mixtures: int
    speech_s: float
    removed_s: float
    removed_share: float
    street_clips: int
    withheld_clips: int
    withheld_share: float


def measure_detector(
    detector: SpeechDetector, speech: Path, street: Path, *, mixtures: int, above_street_db: float, seed: int = 0
) -> SpeechFigures:
    """Mix recordings of two folders, and count what the detector withholds.

    Args:
        detector: the detector.
        speech: folder of recorded speech without background (.wav, .flac, .ogg).
        street: folder of recordings without speech; the first 10 s of each are one clip.
        mixtures: number of mixtures.
        above_street_db: LAeq of the speech minus LAeq of the street, in dB.
        seed: seed of the mixtures.

    Raises:
        InvalidError: a folder has no recordings.
    """
    streets = [_clip(path) for path in _recordings(street)]
    rng = np.random.default_rng(seed)
    speech_s = removed_s = 0.0
    voices = _recordings(speech)
    for _ in range(mixtures):
        background = streets[int(rng.integers(len(streets)))]
        voice = _speech(voices, rng)
        detected = detector.contains_speech(mix(background, voice, above_street_db, rng), MIX_RATE_HZ)
        speech_s += voice.size / MIX_RATE_HZ
        removed_s += detected * voice.size / MIX_RATE_HZ
    withheld = sum(detector.contains_speech(clip, MIX_RATE_HZ) for clip in streets)
    return SpeechFigures(
        mixtures=mixtures,
        speech_s=speech_s,
        removed_s=removed_s,
        removed_share=removed_s / speech_s,
        street_clips=len(streets),
        withheld_clips=withheld,
        withheld_share=withheld / len(streets),
    )


def mix(street: Waveform, voice: Waveform, above_street_db: float, rng: np.random.Generator) -> Waveform:
    """Add speech to a clip at a random place, at a level relative to it.

    Args:
        street: float32 [samples] at `MIX_RATE_HZ`.
        voice: float32 [at most samples] at `MIX_RATE_HZ`.
        above_street_db: LAeq of the speech minus LAeq of the street, in dB.
        rng: chooses the place.
    """
    street_db, voice_db = (LevelMeter(MIX_RATE_HZ).measure(sound).levels.laeq for sound in (street, voice))
    level_db = street_db - voice_db + above_street_db
    start = int(rng.integers(street.size - voice.size + 1))
    mixed = street.copy()
    mixed[start : start + voice.size] += np.float32(10.0 ** (level_db / 20.0)) * voice
    return mixed


def _recordings(folder: Path) -> Sequence[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InvalidError(f"{folder} has no recordings ({', '.join(sorted(SUFFIXES))})")
    return found


def _clip(path: Path) -> Waveform:
    samples = round(CLIP_S * MIX_RATE_HZ)
    waveform = _read(path)[:samples]
    if waveform.size < samples:
        raise InvalidError(f"{path} is shorter than {CLIP_S:.0f} s")
    return waveform


def _speech(voices: Sequence[Path], rng: np.random.Generator) -> Waveform:
    wanted = int(rng.uniform(*SPEECH_S) * MIX_RATE_HZ)
    parts: list[Waveform] = []
    for waveform in _endless(voices, rng):
        if waveform.size >= SHORTEST_S * MIX_RATE_HZ and waveform.any():
            parts.append(waveform)
        if sum(part.size for part in parts) >= wanted:
            break
    return np.concatenate(parts)[: round(SPEECH_S[1] * MIX_RATE_HZ)]


def _endless(voices: Sequence[Path], rng: np.random.Generator) -> Iterator[Waveform]:
    for _ in range(1_000):
        yield _read(voices[int(rng.integers(len(voices)))])
    raise InvalidError("the folder of speech has hardly any recording that is longer than 0.4 s")


def _read(path: Path) -> Waveform:
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InvalidError(f"{path} is not readable: {error}") from error
    return resample(np.ascontiguousarray(samples.mean(axis=1)), int(rate_hz), MIX_RATE_HZ)
