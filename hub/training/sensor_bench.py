"""`evaluate` by sensor: hears recordings in the feature spaces to compare, and trains what has to be trained."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hub.model.checkpoint import Checkpoint, load, shipped
from hub.training import recipes
from hub.training.beside import quiet, versions_of
from hub.training.by_sensor import Heard, between, hear, over_folds
from hub.training.dataset import Dataset, joined, without
from hub.training.datasets import Reader
from hub.training.datasets.hearing import NO_VERSIONS
from hub.training.datasets.versions import Versions
from hub.training.evaluate import Evaluation, evaluate_parts
from shared.backbones import bring
from shared.errors import Unavailable
from shared.space import LOGMEL

OnQuery = Callable[[str, int], None]


class SensorBench:
    """Compares a feature space with others on recordings of sensors.

    Args:
        space: id of the feature space.
        weights_dir: VGGish's weights, to hear recordings as VGGish.
        cache: where features are kept; None: nowhere.
        tick: told after each clip that is heard.
        tell: told in words what happens.
    """

    def __init__(
        self,
        space: str,
        weights_dir: Path,
        cache: Path | None,
        tick: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._reader = Reader(space, weights_dir, cache, tick)
        self._tick = tick
        self._tell = tell
        self._beside: list[Dataset] | None = None

    def over_folds(
        self, folder: Path, checkpoint: Path | None, *, seed: int, divisions: int, on_query: OnQuery
    ) -> Evaluation:
        """Four folds by sensor; without a checkpoint the shipped network is trained anew in each.

        Raises:
            Unavailable: a file cannot be opened.
            Invalid: no labelled recordings of at least four sensors, or a checkpoint of another feature space.
        """
        versions = versions_of(self._reader.space) if checkpoint is None else NO_VERSIONS
        heard = self._hear(folder, versions)
        name, fit = "shipped", lambda data: self._fit(data, seed)
        if checkpoint is not None:
            given = load(checkpoint)
            name, fit = "checkpoint", lambda _data: given
        parts = over_folds(heard, fit, name=name, seed=seed, divisions=divisions)
        return evaluate_parts(parts, on_query=on_query)

    def between(self, queries: Path, database: Path, checkpoint: Path | None, on_query: OnQuery) -> Evaluation:
        """One folder's recordings searched by another's, with the shipped network or the one given, as it is.

        Raises:
            Unavailable: a file cannot be opened.
            Invalid: no labelled recordings, or a checkpoint of another feature space.
        """
        name = "shipped" if checkpoint is None else "checkpoint"
        network = load(checkpoint or shipped(self._reader.space))
        return evaluate_parts(
            [between(self._hear(queries), self._hear(database), {name: network})], on_query=on_query
        )

    def _hear(self, folder: Path, versions: Versions = NO_VERSIONS) -> Heard:
        others = {"logmel": Reader(LOGMEL.id, cache=self._reader.cache, tick=self._tick)}
        with tempfile.TemporaryDirectory(prefix="earwitness-") as made:
            try:
                from hub.training.distil.yamnet import yamnet  # noqa: PLC0415 - needs the extra `distil`

                space = bring(yamnet(Path(made))).id
                others["yamnet"] = Reader(space, cache=self._reader.cache, tick=self._tick)
            except (ImportError, Unavailable) as error:
                self._tell(f"yamnet is left out: {error}; pip install 'earwitness[distil]'")
            return hear(folder, replace(self._reader, made=versions), others)

    def _fit(self, data: Dataset, seed: int) -> Checkpoint:
        method = recipes.DEFAULT_METHOD.get(data.space.id, recipes.TAGGED)
        if self._beside is None:
            self._beside = quiet(self._reader)
        return recipes.fit(
            *without(joined([data, *self._beside]), ()),
            recipes.Order(method, seed, start=recipes.start_of(data.space.id, method)),
            on_epoch=lambda epoch: self._tell(recipes.told(epoch)) if epoch.number == epoch.of else None,
            on_step=lambda _stage, _number, _share: None,
        )
