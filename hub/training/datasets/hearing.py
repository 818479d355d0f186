"""Recordings to features, each clip heard once: features are kept on disk under the hash of the recording."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from shared.audio import read_file
from shared.errors import Unavailable
from shared.extractor import Extractor
from shared.space import Features, FeatureSpace


class Hearing:
    """Hears recordings in one feature space.

    Args:
        extractor: computes the features.
        cache: directory to keep features in; None keeps none.
        tick: told after each clip.
    """

    def __init__(
        self, extractor: Extractor, *, cache: Path | None = None, tick: Callable[[], None] = lambda: None
    ) -> None:
        self.extractor = extractor
        self.tick = tick
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
        found = self._kept(path) if self._cache else self.extractor.extract(*read_file(path))
        self.tick()
        return found

    def _kept(self, path: Path) -> Features:
        assert self._cache is not None  # noqa: S101 - for the type checker
        try:
            name = sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {error.strerror or error}") from error
        kept = self._cache / name[:2] / f"{name}.npy"
        try:
            return self.space.check(np.load(kept, allow_pickle=False))
        except (OSError, ValueError, EOFError):  # not there, or cut short: heard again
            pass
        features = self.extractor.extract(*read_file(path))
        partial = kept.with_suffix(".partial.npy")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(partial, features)
            partial.replace(kept)
        except OSError as error:
            raise Unavailable(f"cannot keep features in {self._cache}: {error.strerror or error}") from error
        return features
