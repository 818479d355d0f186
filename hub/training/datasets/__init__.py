"""Reading the data sets that training and evaluation know.

| folder | what it holds | groups | module |
|---|---|---|---|
| urban-AudioSet | VGGish embeddings: `train.npz`, `eval_dev.npz`, `urban_benchmark.npz` | none | `audioset` |
| AudioSet as published | `class_labels_indices.csv` and `*.tfrecord` | none | `tfrecords` |
| your own recordings | `labels.csv` and the clips | `sensor-<id>` | `recordings` |
| SONYC-UST as published | `annotations.csv` and the recordings | `sensor-<id>` | `sonyc_ust` |
| features | `features.npz`: features and labels that a program made | none | `features` |
| ESC-10 | one directory per class | `fold-<digit>` | `esc10` |

`scenes` makes synthetic ones. Recordings are heard through `hearing`, which keeps their features.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hub.audio.choose import extractor_for
from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset, without
from hub.training.datasets.audioset import load_audioset
from hub.training.datasets.esc10 import esc10_files, load_esc10
from hub.training.datasets.features import FILE, load_features
from hub.training.datasets.hearing import NO_VERSIONS, Hearing
from hub.training.datasets.recordings import load_recordings
from hub.training.datasets.sonyc_ust import annotation_file, load_sonyc_ust
from hub.training.datasets.tfrecords import load_tfrecords, tfrecord_files
from hub.training.datasets.versions import Versions
from shared.errors import Invalid
from shared.space import VGGISH


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads folders of any kind that the module's docstring lists, in one feature space.

    Attributes:
        space: id of the feature space.
        weights_dir: VGGish's weights, to hear recordings as VGGish.
        cache: where features of recordings are kept; None: nowhere.
        tick: told after each clip that is heard.
        made: versions of recordings that are heard beside them, to learn from.
    """

    space: str
    weights_dir: Path = Path()
    cache: Path | None = None
    tick: Callable[[], None] = lambda: None
    made: Versions = NO_VERSIONS

    def learn(self, folder: Path) -> Dataset:
        """What may be learnt from a folder.

        Raises:
            Unavailable: a file, or VGGish's weights, cannot be opened.
            Invalid: none of these kinds, embeddings of another space, or damaged.
        """
        if (folder / "urban_benchmark.npz").is_file():
            self._is_vggish(folder)
            return load_audioset(folder)[0]
        if (folder / "labels.csv").is_file():
            return load_recordings(folder, self.hearing())
        if annotation_file(folder):
            return load_sonyc_ust(folder, self.hearing())[0]
        if tfrecord_files(folder):
            self._is_vggish(folder)
            return load_tfrecords(folder)
        if (folder / FILE).is_file():
            made = load_features(folder)
            if made.space.id != self.space:
                raise Invalid(f"{folder} holds features of {made.space.id}; they are of no use for {self.space}")
            return made
        if esc10_files(folder):
            return load_esc10(folder, self.hearing())
        raise Invalid(
            f"{folder} has neither labels.csv, nor annotations.csv, nor AudioSet's npz or tfrecord files, nor"
            " features.npz, nor class directories as ESC-10 has"
        )

    def benchmark(self, folder: Path, held_out: Iterable[str]) -> Benchmark:
        """The benchmark in a folder; of your own recordings the held-out sensors are the queries.

        Raises:
            Unavailable: a file, or VGGish's weights, cannot be opened.
            Invalid: the folder is of no kind with a benchmark, or has no held-out sensor.
        """
        if (folder / "urban_benchmark.npz").is_file():
            self._is_vggish(folder)
            return load_audioset(folder)[1]
        if annotation_file(folder) and not (folder / "labels.csv").is_file():
            return load_sonyc_ust(folder, self.hearing())[1]
        sensors = [name for name in held_out if name.startswith("sensor-")]
        database, queries = without(self.learn(folder), sensors)
        return Benchmark(queries=queries, database=database)

    def hearing(self) -> Hearing:
        """Hears recordings in this feature space.

        Raises:
            Unavailable: VGGish's weights cannot be opened.
        """
        extractor = extractor_for(self.space, self.weights_dir)
        return Hearing(extractor, cache=self.cache, tick=self.tick, made=self.made)

    def _is_vggish(self, folder: Path) -> None:
        if self.space != VGGISH.id:
            raise Invalid(f"{folder} holds VGGish embeddings; they are of no use for {self.space}")
