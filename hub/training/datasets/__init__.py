"""Readers of the data sets for training and evaluation.

| folder | what it holds | groups | module |
|---|---|---|---|
| urban-AudioSet | VGGish embeddings: `train.npz`, `eval_dev.npz`, `urban_benchmark.npz` | none | `audioset` |
| AudioSet as published | `class_labels_indices.csv` and `*.tfrecord` | none | `audioset_tfrecords` |
| your own recordings | `labels.csv` and the clips | `sensor-<id>` | `recordings` |
| SONYC-UST as published | `annotations.csv` and the recordings | `sensor-<id>` | `sonyc_ust` |
| features | `features.npz`: features and labels that a program made | none | `feature_file` |
| ESC-10 | one directory per class | `fold-<digit>` | `esc10` |

`synthetic` makes clips of a street. `feature_cache` embeds recordings once and keeps their features.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hub.features.selection import load_extractor
from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset, without
from hub.training.datasets.audioset import load_audioset, load_evaluation
from hub.training.datasets.audioset_tfrecords import load_tfrecords, tfrecord_files
from hub.training.datasets.augmentation import Versions
from hub.training.datasets.esc10 import esc10_files, load_esc10
from hub.training.datasets.feature_cache import NO_VERSIONS, FeatureCache
from hub.training.datasets.feature_file import FILE, load_features
from hub.training.datasets.halves import FIRST, SECOND, half_of_features
from hub.training.datasets.recordings import load_recordings
from hub.training.datasets.sonyc_ust import annotation_file, load_sonyc_ust
from shared.errors import InvalidError
from shared.feature_space import VGGISH


@dataclass(frozen=True, slots=True)
class DatasetReader:
    """Reads folders of any kind that the module's docstring lists, in one feature space.

    Attributes:
        space: id of the feature space.
        weights_dir: folder of VGGish's weights, to embed recordings with VGGish.
        cache: folder in which features of recordings are kept; None: not kept.
        tick: called after each embedded clip.
        made: versions of recordings to embed for training as well.
        half: half of each clip to read, `FIRST` or `SECOND` of `hub.training.datasets.halves`; None: whole clips.
    """

    space: str
    weights_dir: Path = Path()
    cache: Path | None = None
    tick: Callable[[], None] = lambda: None
    made: Versions = NO_VERSIONS
    half: int | None = None

    def training_set(self, folder: Path) -> Dataset:
        """Read the training set of a folder.

        Raises:
            UnavailableError: a file, or VGGish's weights, cannot be opened.
            InvalidError: the folder is of none of these kinds, of another feature space, or damaged.
        """
        if (folder / "urban_benchmark.npz").is_file():
            self._is_vggish(folder)
            return self._cut(load_audioset(folder)[0])
        if (folder / "labels.csv").is_file():
            return load_recordings(folder, self.feature_cache())
        if annotation_file(folder):
            return load_sonyc_ust(folder, self.feature_cache())[0]
        if tfrecord_files(folder):
            self._is_vggish(folder)
            return self._cut(load_tfrecords(folder))
        if (folder / FILE).is_file():
            made = load_features(folder)
            if made.space.id != self.space:
                raise InvalidError(
                    f"{folder} holds features of {made.space.id}, but the feature space is {self.space}"
                )
            return self._cut(made)
        if esc10_files(folder):
            return load_esc10(folder, self.feature_cache())
        raise InvalidError(
            f"{folder} has neither labels.csv, nor annotations.csv, nor AudioSet's npz or tfrecord files, nor"
            " features.npz, nor class directories as ESC-10 has"
        )

    def benchmark(self, folder: Path, held_out: Iterable[str], *, each: bool = False) -> Benchmark:
        """Read the benchmark of a folder; for your own recordings, clips of held-out sensors are the queries.

        Args:
            folder: folder of any kind.
            held_out: groups whose sensors are the queries, if the folder does not define the queries.
            each: if one of these sensors is missing, search every clip among all the others.

        Raises:
            UnavailableError: a file, or VGGish's weights, cannot be opened.
            InvalidError: the folder is of none of these kinds, or has no held-out sensor.
        """
        if (folder / "urban_benchmark.npz").is_file():
            self._is_vggish(folder)
            return load_audioset(folder)[1]
        if annotation_file(folder) and not (folder / "labels.csv").is_file():
            return load_sonyc_ust(folder, self.feature_cache())[1]
        sensors = [name for name in held_out if name.startswith("sensor-")]
        data = self.training_set(folder)
        if not sensors or (each and set(sensors) - set(data.groups.tolist())):
            return Benchmark(data, data, own=np.arange(len(data)))
        database, queries = without(data, sensors)
        return Benchmark(queries=queries, database=database)

    def halves(self, folder: Path, held_out: Iterable[str]) -> Benchmark:
        """Return the benchmark that searches first halves of clips among second halves of the same clips.

        Args:
            folder: of any kind.
            held_out: of your own recordings the sensors whose clips are cut in two; all clips if it names none. Of
                the AudioSet benchmark clips of the evaluation split are, of SONYC-UST those that it asks.

        Raises:
            UnavailableError, InvalidError: as of `benchmark`; or a clip cannot be cut in two.
        """
        held = tuple(held_out)
        if (folder / "urban_benchmark.npz").is_file():
            self._is_vggish(folder)
            whole = load_evaluation(folder)
            first, second = (half_of_features(whole, half) for half in (FIRST, SECOND))
        else:
            cut = [replace(self, half=half, made=NO_VERSIONS) for half in (FIRST, SECOND)]
            first, second = (reader.benchmark(folder, held).queries for reader in cut)
        return Benchmark(first, second, other=np.arange(len(first)))

    def feature_cache(self) -> FeatureCache:
        """Open the cache that embeds recordings in this feature space.

        Raises:
            UnavailableError: VGGish's weights cannot be opened.
        """
        extractor = load_extractor(self.space, self.weights_dir)
        return FeatureCache(extractor, cache=self.cache, tick=self.tick, made=self.made, half=self.half)

    def _cut(self, data: Dataset) -> Dataset:
        """Return the configured half of clips that are already embedded."""
        return data if self.half is None else half_of_features(data, self.half)

    def _is_vggish(self, folder: Path) -> None:
        if self.space != VGGISH.id:
            raise InvalidError(f"{folder} holds VGGish embeddings, but the feature space is {self.space}")
