"""Loss of training: the cross-entropy of presence matrices."""

import numpy as np
import torch
from torch import Tensor, nn

from hub.domain.presence_matrix import pair_states
from hub.model.siamese import SiameseNetwork
from hub.training.dataset import Dataset
from hub.training.pair_sampling import Pairs


def cross_entropy(log_matrix: Tensor, truth: Tensor) -> Tensor:
    """Mean categorical cross-entropy per pair and category, in nats.

    Args:
        log_matrix: float32 [B, 8, 3], log-probabilities.
        truth: int64 [B, 8], the column of each category's situation.

    Source: the paper, section 3.1 ("a Softmax function with a categorical cross-entropy loss function").
    """
    return nn.functional.nll_loss(log_matrix.flatten(0, 1), truth.flatten())


def pair_loss(network: SiameseNetwork, data: Dataset, pairs: Pairs, shifts: Tensor | None = None) -> Tensor:
    """Cross-entropy of a batch of pairs; each clip's tower is computed once.

    Args:
        network: in training or eval mode.
        data: the clips.
        pairs: int64 [B, 2], indices into the data.
        shifts: float32 [n, 1, 1], added to each clip's dequantised features.

    Returns:
        float32 scalar, see `cross_entropy`.
    """
    clips, inverse = np.unique(pairs, return_inverse=True)
    sides = torch.from_numpy(inverse.reshape(pairs.shape))
    features = torch.from_numpy(data.space.dequantise(data.features[clips]))
    if shifts is not None:
        features = features + shifts[torch.from_numpy(clips)]
    query, event = network.halves(network.tower(features))
    log_matrix = network.pair_log_probs(query.index_select(0, sides[:, 0]), event.index_select(0, sides[:, 1]))
    return cross_entropy(log_matrix, torch.from_numpy(pair_states(*data.labels[pairs.T])))
