from pathlib import Path

import numpy as np
import pytest
import soundfile

from hub.features.logmel import LogMel
from hub.training.datasets.feature_cache import FeatureCache
from shared.errors import InvalidError, UnavailableError


class Counting(LogMel):
    received = 0

    def extract(self, *args: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        self.received += 1
        return super().extract(*args)  # type: ignore[arg-type]


def test_a_recording_is_embedded_once_and_again_if_it_changes_or_the_cache_is_damaged(tmp_path: Path) -> None:
    extractor, ticks, path = Counting(), [], tmp_path / "a.wav"
    cache = FeatureCache(extractor, cache=tmp_path / "cache", tick=lambda: ticks.append(1))
    soundfile.write(path, 0.1 * np.sin(np.arange(8_000) / 8), 8_000)
    first = cache.features(path)
    assert np.array_equal(cache.features(path), first)
    assert (extractor.received, len(ticks)) == (1, 2)
    (kept,) = (tmp_path / "cache").rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:200])
    assert np.array_equal(cache.features(path), first)
    assert extractor.received == 2
    soundfile.write(path, 0.1 * np.sin(np.arange(8_000) / 3), 8_000)
    assert not np.array_equal(cache.features(path), first)
    assert extractor.received == 3


def test_what_cannot_be_embedded_or_kept_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8_000)
    with pytest.raises(UnavailableError, match="keep features"):
        FeatureCache(LogMel(), cache=tmp_path / "file").features(tmp_path / "a.wav")
    for cache in (None, tmp_path):
        with pytest.raises((UnavailableError, InvalidError)):
            FeatureCache(LogMel(), cache=cache).features(tmp_path / "nothing.wav")
