"""A bank of recordings to mix from: their frames end to end, and how often each moment is drawn.

A frame is 10 ms: 64 log-mel bands, or samples of sound for a teacher that takes sound.

1. A recording is read to `LONGEST_S`, a package to `MOST_S`, so that no game's dialogues outweigh a street.
2. Sound shorter than one window is followed by silence.
3. The teacher processes every second; moments of classes that are rare are drawn more often (`weights`).
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from hub.features.vggish.extractor import PATCH, RATE_HZ, FrontEnd
from shared.audio import Waveform, read_file, resample
from shared.errors import EarwitnessError, InvalidError
from shared.paths import files_below
from shared.synthetic_scene import make_scene

Frames = npt.NDArray[np.float16]

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".oga", ".mp3")
OFFSET: Final = 0.001
"""Added to mel magnitudes before the logarithm. Source: YAMNet's `params.py` (`log_offset`)."""
SILENCE: Final = float(np.log(OFFSET))
WINDOW: Final = 112
"""Frames a mixture may take from one recording: a patch and what stretching needs."""
LONGEST_S: Final = 20.0
SHORTEST_S: Final = 0.2
MOST_S: Final = 1500.0
STEP: Final = 48
"""Frames between two moments that may be drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class SpectrogramBank:
    """Recordings to mix from.

    Attributes:
        frames: float16 [n, 64]: log(mel magnitude + 0.001), or sound, float16 [n, rate_hz / 100], 100 frames a
            second, recordings end to end.
        starts: int64 [moments]: first frame of each window of `WINDOW` frames, never across two recordings.
        origin: int64 [moments]: number of the package or folder.
        origins: names of packages and folders.
    """

    frames: Frames
    starts: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]
    origins: tuple[str, ...]

    def first(self, which: npt.NDArray[np.int64], frames: int = PATCH) -> npt.NDArray[np.float32]:
        """Return the first frames of moments, at most `WINDOW`: float32 [n, frames, width]."""
        rows = self.starts[which][:, None] + np.arange(frames)
        return np.asarray(self.frames[rows], dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write it; see `load`."""
        np.savez(path, frames=self.frames, starts=self.starts, origin=self.origin, origins=np.array(self.origins))

    @classmethod
    def load(cls, path: Path) -> "SpectrogramBank":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["frames"], file["starts"], file["origin"], tuple(file["origins"].tolist()))


def gather(
    folders: Iterable[tuple[str, Iterable[Path]]],
    scenes: int,
    seed: int,
    tick: Callable[[str], None],
    *,
    rate_hz: int | None = None,
    most_s: float | None = None,
) -> SpectrogramBank:
    """Read recordings, and synthesise scenes.

    Args:
        folders: name and recordings of each package or folder; what cannot be read is left out.
        scenes: synthetic scenes to add.
        seed: of the scenes, and of which recordings of a large package are read.
        tick: called with the name of each package or folder that is read.
        rate_hz: of sound; None: the bank is of log-mel frames.
        most_s: about this many seconds of each package or folder are read; None: `MOST_S`.

    Raises:
        InvalidError: there are no recordings and no scenes.
    """
    most_s = MOST_S if most_s is None else most_s
    parts: list[Frames] = []
    starts: list[int] = []
    origin: list[int] = []
    names: list[str] = []
    at = 0

    def add(name: str, recorded: Iterable[Frames | None]) -> None:
        nonlocal at
        seconds = 0.0
        names.append(name)
        for frames in recorded:
            if frames is None:
                continue
            first = list(range(at, at + len(frames) - WINDOW + 1, STEP))
            parts.append(frames)
            starts.extend(first)
            origin.extend([len(names) - 1] * len(first))
            at += len(frames)
            seconds += len(frames) / 100
            if seconds > most_s:
                break
        tick(name)

    rng = np.random.default_rng(seed)
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name, paths in folders:
            ordered = sorted(paths)
            few = [ordered[i] for i in rng.permutation(len(ordered))]
            # As many as may be needed if each lasts a second.
            add(name, pool.map(partial(frames_of, rate_hz=rate_hz), few[: int(most_s)], chunksize=8))
        seeds = [int(number) for number in rng.integers(2**32, size=scenes)]
        add("scenes", pool.map(partial(_scene, rate_hz=rate_hz), seeds, chunksize=8))
    if not parts:
        raise InvalidError("no recordings that can be decoded, and no scenes")
    return SpectrogramBank(np.concatenate(parts), np.array(starts), np.array(origin), tuple(names))


def recordings(folder: Path) -> Iterator[Path]:
    """Return recordings anywhere below a folder."""
    return iter(files_below(folder, SUFFIXES).files)


def frames_of(path: Path, rate_hz: int | None = None) -> Frames | None:
    """Frames of a recording as `SpectrogramBank.frames` has them; None if it is unreadable, silent or too short."""
    try:
        waveform, own_hz = read_file(path, LONGEST_S)
    except EarwitnessError:
        return None
    if not 1000 <= own_hz <= 384_000 or waveform.size < SHORTEST_S * own_hz:
        return None
    waveform = waveform[: int(LONGEST_S * own_hz)]
    peak = float(np.abs(waveform).max())
    if not np.isfinite(peak) or peak < 1e-3:
        return None
    return _frames(waveform * np.float32(0.7 / peak), own_hz, rate_hz)


def weights(bank: SpectrogramBank, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how often each moment is drawn: rare classes and small packages more often than their share.

    Args:
        bank: the recordings.
        classes: int64 [moments]: class with the highest score of the teacher, per moment.

    Returns:
        float64 [moments], adding up to 1.
    """
    common = np.bincount(classes)[classes]
    large = np.bincount(bank.origin)[bank.origin]
    drawn = 1.0 / (common**0.7 * large**0.3)
    return np.asarray(drawn / drawn.sum(), dtype=np.float64)


def _scene(seed: int, rate_hz: int | None) -> Frames:
    own_hz = rate_hz or RATE_HZ
    return _frames(make_scene(np.random.default_rng(seed), own_hz).waveform, own_hz, rate_hz)


def _frames(waveform: Waveform, own_hz: int, rate_hz: int | None) -> Frames:
    to_hz = rate_hz or RATE_HZ
    waveform = resample(waveform, own_hz, to_hz)
    short = to_hz // 100 * (WINDOW + 3) - waveform.size
    padded = np.pad(waveform, (0, max(0, short)))
    if rate_hz is None:
        return FrontEnd(OFFSET).log_mel(padded).numpy().astype(np.float16)
    width = rate_hz // 100
    return padded[: padded.size // width * width].reshape(-1, width).astype(np.float16)
