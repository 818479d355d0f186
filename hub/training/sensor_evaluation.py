"""Evaluation by sensor: embed recordings in the compared feature spaces, and train networks per fold."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from hub.model.checkpoint import Checkpoint, default_checkpoint, load
from hub.model.identity import Identity
from hub.training import recipes
from hub.training.auxiliary_data import quiet, versions_of
from hub.training.compared_methods import SHIPPED, network_of
from hub.training.cross_validation import EmbeddedDataset, Fit, between, embed_dataset, halves_over_folds, over_folds
from hub.training.dataset import Dataset, joined, without
from hub.training.datasets import DatasetReader
from hub.training.evaluation import Evaluation, evaluate_parts
from hub.training.identity_training import plan_of, teach
from shared.backbones import register_backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import LOGMEL

OnQuery = Callable[[str, int], None]


class SensorEvaluation:
    """Compares a feature space with others on recordings of sensors.

    Args:
        space: id of the feature space.
        weights_dir: folder of VGGish's weights, to embed recordings with VGGish.
        cache: folder in which features are kept; None: not kept.
        tick: called after each embedded clip.
        report: called with a line on each step.

    Attributes:
        reader: reads folders in that feature space.
    """

    def __init__(
        self,
        space: str,
        weights_dir: Path,
        cache: Path | None,
        tick: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        self.reader = DatasetReader(space, weights_dir, cache, tick)
        self._tick = tick
        self._report = report
        self._beside: list[Dataset] | None = None
        self._fitted: dict[tuple[int, str], Checkpoint] = {}

    def over_folds(
        self, folder: Path, checkpoint: Path | None, *, seed: int, divisions: int, on_query: OnQuery
    ) -> Evaluation:
        """Evaluate four folds by sensor; without a checkpoint the shipped network is trained again in each.

        Raises:
            UnavailableError: a file cannot be opened.
            InvalidError: no labelled recordings of at least four sensors, or a checkpoint of another feature space.
        """
        clips = self._embed(folder, self._learning(checkpoint))
        name, fit = self._network(checkpoint, seed)
        parts = over_folds(clips, fit, name=name, seed=seed, divisions=divisions)
        return evaluate_parts(parts, on_query=on_query)

    def halves(
        self, folder: Path, checkpoint: Path | None, *, seed: int, divisions: int, on_query: OnQuery
    ) -> Evaluation:
        """Halves of the recordings in four folds by sensor; networks as of `over_folds`.

        Raises:
            UnavailableError: a file cannot be opened.
            InvalidError: no labelled recordings of at least four sensors, or a checkpoint of another feature space.
        """
        whole, halves = self._learning(checkpoint).training_set(folder), self.reader.halves(folder, ())
        name, fit = self._network(checkpoint, seed)
        parts = halves_over_folds(whole, halves, fit, name=name, seed=seed, divisions=divisions)
        return evaluate_parts(parts, on_query=on_query)

    def between(self, queries: Path, database: Path, checkpoint: Path | None, on_query: OnQuery) -> Evaluation:
        """One folder's recordings searched by another's, with the shipped network or the one given, as it is.

        Raises:
            UnavailableError: a file cannot be opened.
            InvalidError: no labelled recordings, or a checkpoint of another feature space.
        """
        name, network = network_of(self.reader.space, checkpoint)
        return evaluate_parts(
            [between(self._embed(queries), self._embed(database), {name: network})], on_query=on_query
        )

    def _learning(self, checkpoint: Path | None) -> DatasetReader:
        """Return the reader of clips that a network learns if none is given: with versions of them."""
        return self.reader if checkpoint else replace(self.reader, made=versions_of(self.reader.space))

    def _embed(self, folder: Path, reader: DatasetReader | None = None) -> EmbeddedDataset:
        others = {"logmel": DatasetReader(LOGMEL.id, cache=self.reader.cache, tick=self._tick)}
        with tempfile.TemporaryDirectory(prefix="earwitness-") as made:
            try:
                from hub.training.distillation.yamnet import yamnet  # noqa: PLC0415 - needs the extra `distil`

                space = register_backbone(yamnet(Path(made))).id
                others["yamnet"] = DatasetReader(space, cache=self.reader.cache, tick=self._tick)
            except (ImportError, UnavailableError) as error:
                self._report(f"yamnet is left out: {error}; pip install 'earwitness[distil]'")
            return embed_dataset(folder, reader or self.reader, others)

    def _network(self, checkpoint: Path | None, seed: int) -> tuple[str, Fit]:
        """Return the name of the network's methods, and what gives the network of a fold."""
        if checkpoint is None:
            return SHIPPED, lambda data: self._fit(data, seed)
        name, given = network_of(self.reader.space, checkpoint)
        return name, lambda _data: given

    def _fit(self, data: Dataset, seed: int) -> Checkpoint:
        """Return the network of these clips; whole clips and halves of the same folds share it."""
        key = (seed, sha256(data.features.tobytes()).hexdigest())
        if key not in self._fitted:
            self._fitted[key] = self._trained(data, seed)
        return self._fitted[key]

    def _trained(self, data: Dataset, seed: int) -> Checkpoint:
        method = recipes.DEFAULT_METHOD.get(data.space.id, recipes.TAGGED)
        if self._beside is None:
            self._beside = quiet(self.reader)
        start = recipes.default_initialisation(data.space.id, method)
        fitted = recipes.run_training(
            *without(joined([data, *self._beside]), ()),
            recipes.TrainingSpec(method, seed, start=start),
            on_epoch=lambda epoch: self._report(recipes.format_epoch(epoch)) if epoch.number == epoch.of else None,
            on_step=lambda _stage, _number, _share: None,
        )
        return self._with_identity(fitted, data, seed, None if start is None else start.identity)

    def _with_identity(self, fitted: Checkpoint, data: Dataset, seed: int, start: Identity | None) -> Checkpoint:
        """Return the network with an identity trained on the same clips, as the `identity` command does.

        Its weight is that of the shipped checkpoint's identity, else the usual one of the feature space.
        """
        try:
            ships = load(default_checkpoint(data.space.id))
        except InvalidError:  # a feature space of one's own
            ships = fitted
        plan = replace(plan_of(ships), seed=seed)
        try:
            return teach(fitted, data, plan, start=start)
        except InvalidError as error:
            self._report(f"searches by source are left out: {error}")
            return fitted
