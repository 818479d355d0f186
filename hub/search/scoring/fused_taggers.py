"""The towers of a tagged network, laid out for speed: batch normalisation folded in, in the processor's best dtype.

The members run one after the other, so that what one works on stays in the processor's caches.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from hub.model.tagger import LEAST, TaggingEnsemble
from hub.runtime.precision import best_dtype, cpu_capabilities, next_power_of_two
from hub.search.scoring.int8 import fold_batch_norm, linears

TOLERANCE: Final = 0.02
"""Tags from bfloat16 are at most so far from the network's own (of real clips .004 at most)."""

_LARGEST: Final = 80.0
"""Logits of attention are clipped here, so that their exponentials stay finite."""

_Linear = tuple[Tensor, Tensor]


class FusedTaggers:
    """A faster `TaggedNetwork.tower`.

    Args:
        network: in eval mode.
        dtype: of the products; by default bfloat16 where the processor multiplies it, else float32.
    """

    def __init__(self, network: TaggingEnsemble, dtype: torch.dtype | None = None) -> None:
        self._network = network
        self._dtype = best_dtype(cpu_capabilities()) if dtype is None else dtype
        tagger = network.tagger
        with torch.inference_mode():
            layers = [fold_batch_norm(*pair) for pair in linears(tagger.layers)]
            heads = [(head.weight, head.bias) for head in (tagger.presence, tagger.attention)]
            parts = [self._apart(weight, bias) for weight, bias in (*layers, *heads)]
        self._members = list(zip(*parts, strict=True))

    def __call__(self, features: Tensor) -> Tensor:
        """Towers float32 [B, 1, 8 + profile] of dequantised features, float32 [B, frames, dimension]."""
        count = len(features)
        features = nn.functional.pad(features, (0, 0, 0, 0, 0, next_power_of_two(count) - count))
        steps = self._network.tagger.standardise(features).to(self._dtype)
        tags = torch.stack([self._tags(steps, *member) for member in self._members]).mean(dim=0)
        return self._network.compressed(tags[:count].clamp_(LEAST, 1.0 - LEAST))

    def _apart(self, weight: Tensor, bias: Tensor) -> list[_Linear]:
        """Return a layer of all members as one of each."""
        count = self._network.config.members
        made = zip(weight.to(self._dtype).chunk(count), bias.to(self._dtype).chunk(count), strict=True)
        return [(own.contiguous(), offset.contiguous()) for own, offset in made]

    def _tags(self, steps: Tensor, first: _Linear, *rest: _Linear) -> Tensor:
        """Return the tags of one member, float32 [B, 8 + fine], of standardised features."""
        weight, bias = first
        wide = steps.shape[-1]
        hidden = linear(steps, weight[:, :wide], bias)
        if weight.shape[1] > wide:  # the mean of all steps is the same at each: its product is taken once
            hidden += linear(steps.float().mean(dim=1, keepdim=True).to(steps.dtype), weight[:, wide:])
        hidden.relu_()
        *layers, presence, attention = rest
        for layer in layers:
            hidden = linear(hidden, *layer).relu_()
        weights = linear(hidden, *attention).clamp_(-_LARGEST, _LARGEST).exp_()
        tags = linear(hidden, *presence).sigmoid_().mul_(weights).sum(dim=1, dtype=torch.float32)
        return tags / weights.sum(dim=1, dtype=torch.float32)
