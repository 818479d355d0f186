"""Compare two recordings with a checkpoint: what a search of the hub does, for one pair and without a store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hub.domain.presence_matrix import BOTH, level_of_similarity
from hub.features.selection import load_extractor
from hub.model.checkpoint import Checkpoint, default_checkpoint, load
from hub.search.backend import Towers
from hub.search.scoring.scorer import Probabilities, Scorer
from shared.audio import read_file
from shared.errors import InvalidError
from shared.extractor import FeatureExtractor
from shared.feature_space import EARWITNESS_SMALL
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The similarity of two recordings.

    Attributes:
        level: the level of similarity, in [0, 8]: the expected number of categories on which the two agree.
        both: by category, the probability that both contain it, in [0, 1].
        match_probability: by category, the calibrated probability that both are this kind of sound, in [0, 1].
        same_source: the calibrated probability that both come from the same source (the same machine, dog, siren,
            voice), in [0, 1]; None if the checkpoint does not distinguish sources.
        matrix: the presence matrix, float32 [8, 3]: P(both), P(neither), P(one) of each category.
    """

    level: float
    both: Mapping[str, float]
    match_probability: Mapping[str, float]
    same_source: float | None
    matrix: Probabilities


class Comparer:
    """Compares recordings with one checkpoint.

    Args:
        checkpoint: the network and its calibration.
        extractor: turns sound into the features that the network was trained on.

    Raises:
        InvalidError: the extractor serves another feature space.
    """

    def __init__(self, checkpoint: Checkpoint, extractor: FeatureExtractor) -> None:
        if extractor.space != checkpoint.space:
            raise InvalidError(f"the checkpoint is for {checkpoint.space.id}, the extractor for {extractor.space.id}")
        self._scorer = Scorer(checkpoint)
        self._extractor = extractor

    @classmethod
    def shipped(cls) -> Self:
        """Load the network and the backbone that ship for sound, `earwitness-small`."""
        return cls(load(default_checkpoint(EARWITNESS_SMALL.id)), load_extractor(EARWITNESS_SMALL.id, Path()))

    def compare(self, first: Path, second: Path) -> Comparison:
        """Compare two recordings: wav, flac or ogg; of each the first 10 s, a shorter one is repeated.

        Raises:
            InvalidError: a file is no recording, or its sample rate is outside [1,000, 384,000] Hz.
            UnavailableError: a file cannot be opened.
        """
        towers = self._scorer.embed(self._extractor.extract_many([read_file(first), read_file(second)]))
        matrices = self._scorer.score(towers[0], towers[1:])
        match_probability = self._scorer.match_probability(
            self._scorer.rank(towers[0], towers[1:], matrices), matrices
        )
        return Comparison(
            level=float(level_of_similarity(matrices)[0]),
            both=dict(zip(CATEGORIES, matrices[0, :, BOTH].tolist(), strict=True)),
            match_probability=dict(zip(CATEGORIES, match_probability[0].tolist(), strict=True)),
            same_source=self._same_source(towers),
            matrix=matrices[0],
        )

    def _same_source(self, towers: Towers) -> float | None:
        if not self._scorer.identities.known:
            return None
        return float(self._scorer.identities.same_source(self._scorer.cosines(towers[0], towers[1:]), match=False)[0])
