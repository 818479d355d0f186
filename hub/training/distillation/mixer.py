"""Inputs of student and teacher for the same sound: mixtures of a bank, coloured noise, or given sound.

The student takes log-mel patches. A teacher that takes patches gets the same ones (`LogMelMixer`, see `mixtures`);
any other teacher gets sound at its own rate (`SoundMixer`, see `sound_mixtures`).
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from hub.features.vggish.extractor import BANDS, FFT, HOP, PATCH, RATE_HZ, FrontEnd
from hub.training.distillation import mixtures, sound_mixtures
from hub.training.distillation.onnx_export import SAMPLES, SECONDS
from hub.training.distillation.spectrogram_bank import OFFSET, SpectrogramBank
from shared.audio import resample

Floats = npt.NDArray[np.float32]
Gains = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """The same frames of 0.98 s, one every 0.96 s.

    Attributes:
        patches: input of the student, float32 [n, 96, 64]: log(mel magnitude + 0.001).
        frames: input of the teacher, float32 [n, ...].
    """

    patches: Floats
    frames: Floats


class Mixer(Protocol):
    """Makes mixtures; `count` is the number of clips, `frames` how many frames each has."""

    @property
    def bank(self) -> SpectrogramBank:
        """The recordings."""
        ...

    @property
    def rate_hz(self) -> int:
        """Sample rate of the sound that `of_sound` takes."""
        ...

    def moments(self, which: npt.NDArray[np.int64]) -> Floats:
        """Return the teacher's input for moments of the bank."""
        ...

    def mix(
        self,
        chosen: npt.NDArray[np.int64],
        rng: np.random.Generator,
        frames: int = 1,
        gain_db: Gains | None = None,
    ) -> Mixture:
        """Mix a clip from each row of moments, int64 [count, 3]; gain_db: floating [count], of the whole, in dB."""
        ...

    def background(self, count: int, rng: np.random.Generator, frames: int, gain_db: Gains) -> Mixture:
        """Clips of coloured noise."""
        ...

    def of_sound(self, sound: Floats) -> Mixture:
        """Frames of one clip of sound, float32 [samples]."""
        ...


class LogMelMixer:
    """Mixes patches for a teacher that takes the student's input; see `Mixer`."""

    def __init__(self, bank: SpectrogramBank) -> None:
        self.bank: Final = bank
        self.rate_hz: Final = RATE_HZ
        self._front_end = FrontEnd(OFFSET)

    def moments(self, which: npt.NDArray[np.int64]) -> Floats:
        """Return the first 96 frames of 10 ms of moments."""
        return self.bank.first(which, PATCH)

    def mix(
        self,
        chosen: npt.NDArray[np.int64],
        rng: np.random.Generator,
        frames: int = 1,
        gain_db: Gains | None = None,
    ) -> Mixture:
        """See `Mixer.mix`."""
        return _same(mixtures.mix(self.bank, chosen, rng, frames * PATCH, gain_db))

    def background(self, count: int, rng: np.random.Generator, frames: int, gain_db: Gains) -> Mixture:
        """See `Mixer.background`."""
        return _same(mixtures.background(count, rng, frames * PATCH, gain_db))

    def of_sound(self, sound: Floats) -> Mixture:
        """See `Mixer.of_sound`."""
        return _same(self._front_end.patches(sound).numpy())


class SoundMixer:
    """Mixes sound for a teacher that takes sound; see `Mixer`.

    Args:
        bank: of sound at the teacher's rate.
        rate_hz: the teacher's, a multiple of 100.
    """

    def __init__(self, bank: SpectrogramBank, rate_hz: int) -> None:
        self.bank: Final = bank
        self.rate_hz: Final = rate_hz
        self._length = round(SECONDS * rate_hz)
        self._front_end = FrontEnd(OFFSET)

    def moments(self, which: npt.NDArray[np.int64]) -> Floats:
        """Return the first 0.98 s of moments."""
        frames = -(-self._length * 100 // self.rate_hz)
        return self.bank.first(which, frames).reshape(len(which), -1)[:, : self._length]

    def mix(
        self,
        chosen: npt.NDArray[np.int64],
        rng: np.random.Generator,
        frames: int = 1,
        gain_db: Gains | None = None,
    ) -> Mixture:
        """See `Mixer.mix`."""
        mixed = sound_mixtures.mix(self.bank, chosen, rng, self._samples(frames), gain_db)
        return self._both(mixed, frames)

    def background(self, count: int, rng: np.random.Generator, frames: int, gain_db: Gains) -> Mixture:
        """See `Mixer.background`."""
        return self._both(sound_mixtures.background(count, rng, self._samples(frames), self.rate_hz, gain_db), frames)

    def of_sound(self, sound: Floats) -> Mixture:
        """See `Mixer.of_sound`."""
        frames = sound.size * 100 // (self.rate_hz * PATCH)
        wanted = self._samples(frames)
        return self._both(np.pad(sound, (0, max(0, wanted - sound.size)))[None, :wanted], frames)

    def _samples(self, frames: int) -> int:
        """Return the number of samples of a clip of `frames` frames."""
        return PATCH * (frames - 1) * self.rate_hz // 100 + self._length

    def _both(self, clips: Floats, frames: int) -> Mixture:
        """Frames of clips, float32 [count, samples]."""
        starts = PATCH * self.rate_hz // 100 * np.arange(frames)
        cut = np.stack([clips[:, at : at + self._length] for at in starts], axis=1).reshape(-1, self._length)
        patches = [self._front_end.log_mel(_at_16_khz(frame, self.rate_hz))[:PATCH].float().numpy() for frame in cut]
        return Mixture(np.asarray(patches, np.float32).reshape(-1, PATCH, BANDS), np.ascontiguousarray(cut))


def mixer_of(bank: SpectrogramBank, rate_hz: int | None) -> Mixer:
    """Return the mixer for a teacher that takes sound of a rate, or log-mel patches (None)."""
    return LogMelMixer(bank) if rate_hz is None else SoundMixer(bank, rate_hz)


def _same(patches: Floats) -> Mixture:
    reshaped = patches.reshape(-1, PATCH, BANDS)
    return Mixture(reshaped, reshaped)


def _at_16_khz(sound: Floats, rate_hz: int) -> Floats:
    """Return a frame as the student's front end wants it: at least 96 windows."""
    made = sound if rate_hz == RATE_HZ else resample(sound, rate_hz, RATE_HZ)
    return np.pad(made, (0, max(0, SAMPLES + FFT - HOP - made.size)))
