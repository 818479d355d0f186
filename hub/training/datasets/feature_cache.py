"""Cache of features on disk, by the hash of the recording, so that each clip is embedded once."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from hub.training.datasets.augmentation import Versions, version
from hub.training.datasets.halves import half_of_sound
from shared.audio import Waveform, read_file
from shared.errors import InvalidError, UnavailableError
from shared.events import CLIP_S
from shared.extractor import FeatureExtractor, Sound, resample_clip
from shared.feature_space import Features, FeatureSpace
from shared.paths import printable

T = TypeVar("T")
NO_VERSIONS: Final = Versions()


class FeatureCache:
    """Embeds recordings in one feature space and caches the features.

    Args:
        extractor: computes the features.
        cache: folder of the features; None: not kept.
        tick: called after each clip.
        made: versions of each recording that `versions` embeds.
        half: half of each recording to embed, `FIRST` or `SECOND` of `hub.training.datasets.halves`; None: the whole.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        *,
        cache: Path | None = None,
        tick: Callable[[], None] = lambda: None,
        made: Versions = NO_VERSIONS,
        half: int | None = None,
    ) -> None:
        self.extractor = extractor
        self.tick = tick
        self._made = made
        self._half = half
        self._cache = None if cache is None else cache / extractor.space.id.replace("/", "-")

    @property
    def space(self) -> FeatureSpace:
        """Return the feature space."""
        return self.extractor.space

    def features(self, path: Path) -> Features:
        """Return the features of one recording, uint8 [frames, dimension].

        Raises:
            UnavailableError: the recording cannot be opened, or the cache not be written.
            InvalidError: the recording cannot be decoded.
        """
        suffix = "" if self._half is None else f"-half-{self._half}"
        found: Features = self._kept(path, suffix, self._embed)[0]
        self.tick()
        return found

    def versions(self, path: Path, among: int = 1) -> Features:
        """Return features of versions of one recording, uint8 [v, frames, dimension]; they are deterministic.

        Args:
            path: the recording.
            among: number of recordings with versions; with many, each has fewer versions.

        Raises:
            UnavailableError: the recording cannot be opened, or the cache not be written.
            InvalidError: the recording cannot be decoded.
        """
        count = self._made.of(among)
        if count == 0:
            return np.empty((0, *self.space.shape), np.uint8)

        def embed(path: Path, digest: str) -> Features:
            return self._embed_versions(path, digest, count)

        return self._kept(path, f"-{count}-at-{self._made.rate_hz}-hz", embed)

    def _embed(self, path: Path, _digest: str) -> Features:
        """Embed the first clip of a recording, or a half of it, uint8 [1, frames, dimension]."""
        return _named(path, lambda: self.extractor.extract(*self._part(*_sound(path)))[None])

    def _part(self, waveform: Waveform, rate_hz: int) -> Sound:
        return (waveform if self._half is None else half_of_sound(waveform, rate_hz, self._half), rate_hz)

    def _embed_versions(self, path: Path, digest: str, count: int) -> Features:
        rate_hz = self._made.rate_hz
        clip = _named(path, lambda: resample_clip(*_sound(path), rate_hz))
        seed = int(digest[:16], 16)
        made = [version(clip, rate_hz, np.random.default_rng([seed, n])) for n in range(count)]
        return self.extractor.extract_many([(one, rate_hz) for one in made])

    def _kept(self, path: Path, suffix: str, embed: Callable[[Path, str], Features]) -> Features:
        """Return features of a recording, uint8 [n, frames, dimension], from the cache if possible."""
        try:
            digest = sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UnavailableError(f"cannot open {path}: {error.strerror or error}") from error
        if self._cache is None:
            return embed(path, digest)
        kept = self._cache / digest[:2] / f"{digest}{suffix}.npy"
        try:
            found = np.load(kept, allow_pickle=False).reshape(-1, *self.space.shape)  # older files have no n axis
            return np.stack([self.space.check(one) for one in found])
        except (OSError, ValueError, EOFError):  # missing or cut short: embed again
            pass
        features = embed(path, digest)
        partial = kept.with_suffix(".partial.npy")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(partial, features)
            partial.replace(kept)
        except OSError as error:
            raise UnavailableError(f"cannot keep features in {self._cache}: {error.strerror or error}") from error
        return features


def _sound(path: Path) -> Sound:
    """Read the first clip of a recording; an extractor needs a sample more than 10 s to resample."""
    return read_file(path, CLIP_S + 1.0)


def _named(path: Path, embed: Callable[[], T]) -> T:
    """Embed a recording; an error names the file."""
    try:
        return embed()
    except InvalidError as error:
        name = printable(path)
        raise InvalidError(str(error) if name in str(error) else f"{name}: {error}") from error
