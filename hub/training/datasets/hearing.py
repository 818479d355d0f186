"""Recordings to features, each clip heard once: features are kept on disk under the hash of the recording."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from hub.training.datasets.halves import half_of_sound
from shared.audio import read_file
from shared.errors import Invalid, Unavailable
from shared.events import CLIP_S
from shared.extractor import Extractor
from shared.paths import printable
from shared.space import Features, FeatureSpace


class Hearing:
    """Hears recordings in one feature space.

    Args:
        extractor: computes the features.
        cache: directory to keep features in; None keeps none.
        tick: told after each clip.
        half: hears this half of each recording only, as of `hub.training.datasets.halves`; None: the whole.
    """

    def __init__(
        self,
        extractor: Extractor,
        *,
        cache: Path | None = None,
        tick: Callable[[], None] = lambda: None,
        half: int | None = None,
    ) -> None:
        self.extractor = extractor
        self.tick = tick
        self._half = half
        self._cache = None if cache is None else cache / extractor.space.id.replace("/", "-")

    @property
    def space(self) -> FeatureSpace:
        """The feature space."""
        return self.extractor.space

    def features(self, path: Path) -> Features:
        """Features of one recording, uint8 [frames, dimension].

        Raises:
            Unavailable: the recording cannot be opened, or the cache not be written.
            Invalid: it is not readable as sound.
        """
        found = self._kept(path) if self._cache else self._heard(path)
        self.tick()
        return found

    def _heard(self, path: Path) -> Features:
        """Features of the first clip of a recording; the extractor wants a sample more than 10 s to resample."""
        try:
            waveform, rate_hz = read_file(path, CLIP_S + 1.0)
            if self._half is not None:
                waveform = half_of_sound(waveform, rate_hz, self._half)
            return self.extractor.extract(waveform, rate_hz)
        except Invalid as error:
            name = printable(path)
            raise Invalid(str(error) if name in str(error) else f"{name}: {error}") from error

    def _kept(self, path: Path) -> Features:
        assert self._cache is not None  # noqa: S101 - for the type checker
        try:
            name = sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {error.strerror or error}") from error
        part = "" if self._half is None else f"-half-{self._half}"
        kept = self._cache / name[:2] / f"{name}{part}.npy"
        try:
            return self.space.check(np.load(kept, allow_pickle=False))
        except (OSError, ValueError, EOFError):  # not there, or cut short: heard again
            pass
        features = self._heard(path)
        partial = kept.with_suffix(".partial.npy")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(partial, features)
            partial.replace(kept)
        except OSError as error:
            raise Unavailable(f"cannot keep features in {self._cache}: {error.strerror or error}") from error
        return features
