"""Results that a tagged network computes from the tags and profiles in tower outputs, without a pair network."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.tagger import TaggingEnsemble, presence_from_tags
from hub.search.backend import Towers
from hub.search.scoring.embedding_layout import Layout, as_tensor
from shared.taxonomy import COUNT


class TagScorer:
    """Presence and affinity by the tags and profiles of a tagged network.

    Args:
        network: the tagged network.
        layout: of the towers.

    Attributes:
        weight: levels that an affinity of 1 adds to the rank.
    """

    def __init__(self, network: TaggingEnsemble, layout: Layout) -> None:
        self._layout = layout
        self._shift = network.shift
        self.weight = np.float32(network.weight)

    def presence(self, towers: Towers) -> npt.NDArray[np.float32]:
        """Probability that each event contains each category: its tags, without the shift that serves comparing.

        Args:
            towers: float [n, steps, width] from `Scorer.embed`; n may be 0.

        Returns:
            float32 [n, 8], in [0, 1].
        """
        shifted = as_tensor(towers[:, 0, :COUNT])
        return torch.sigmoid(torch.logit(shifted) - self._shift).numpy()

    def implied(self, queries: Towers, events: Towers) -> npt.NDArray[np.float32]:
        """Presence matrices of many queries, each with n events of its own, as the tags imply them.

        Args:
            queries: float [q, steps, width] from `Scorer.embed`.
            events: float [q, n, steps, width] from `Scorer.embed`.

        Returns:
            float32 [q, n, 8, 3].
        """
        with torch.inference_mode():
            own, theirs = (as_tensor(towers)[..., 0, :COUNT] for towers in (queries[:, None], events))
            return presence_from_tags(own, theirs).numpy()

    def affinities(self, queries: Towers, events: Towers) -> npt.NDArray[np.float32]:
        """Affinity of each query and event, as of `TaggingEnsemble.affinity`.

        Args:
            queries: float [q, steps, width] from `Scorer.embed`.
            events: float [n, steps, width] from `Scorer.embed`.

        Returns:
            float32 [q, n], in [0, 1].
        """
        parts = (self._layout.network(towers)[:, 0, COUNT:] for towers in (queries, events))
        own, theirs = (profile.astype(np.float32) for profile in parts)
        return np.asarray(np.square(np.clip(own @ theirs.T, 0.0, 1.0)), dtype=np.float32)


def pairs_of_tags(query: Tensor | None, events: Tensor) -> Tensor:
    """Presence matrices float32 [B, 8, 3] from the tags of a query [1, 1, W], or None for each event with itself."""
    tags = events[:, 0, :COUNT]
    return presence_from_tags(tags if query is None else query[:, 0, :COUNT], tags)
