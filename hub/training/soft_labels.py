"""Finer labels of clips that have none: what a network that knows them says, as soft targets.

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
    """The same clips with finer labels as a network tags them, unless they have as many as it knows.

    Args:
        data: clips of the network's feature space.
        network: in eval mode; one without finer labels leaves the clips without.

    Returns:
        The clips; `fine` is float16 [n, fine] in [0, 1] where the network said them.
    """
    known = network.config.fine
    if known == 0:
        return replace(data, fine=None)
    if data.fine is not None and data.fine.shape[1] == known:
        return data
    said = np.empty((len(data), known), np.float16)
    with torch.inference_mode():
        for at in range(0, len(data), _CLIPS):
            features = torch.from_numpy(data.space.dequantise(data.features[at : at + _CLIPS]))
            said[at : at + _CLIPS] = network.tagger(features)[:, COUNT:].numpy()
    return replace(data, fine=said)
