"""Finer labels for clips without them: the predictions of a trained network, as soft targets.

A network that starts from another then keeps what it knew of finer kinds while it learns the categories of new clips.

Source: Li and Hoiem 2016, Learning without forgetting.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import torch

from hub.model.tagger import TaggingEnsemble
from hub.training.dataset import Dataset
from shared.taxonomy import COUNT

_CLIPS: Final = 256


def with_finer(data: Dataset, network: TaggingEnsemble) -> Dataset:
    """Return the clips with finer labels by a network, unless they already have as many.

    Args:
        data: clips of the network's feature space.
        network: in eval mode; one without finer labels leaves the clips without.

    Returns:
        The clips; `fine` is float16 [n, fine] in [0, 1] where the network predicts them.
    """
    known = network.config.fine
    if known == 0:
        return replace(data, fine=None)
    if data.fine is not None and data.fine.shape[1] == known:
        return data
    predicted = np.empty((len(data), known), np.float16)
    with torch.inference_mode():
        for at in range(0, len(data), _CLIPS):
            features = torch.from_numpy(data.space.dequantise(data.features[at : at + _CLIPS]))
            predicted[at : at + _CLIPS] = network.tagger(features)[:, COUNT:].numpy()
    return replace(data, fine=predicted)
