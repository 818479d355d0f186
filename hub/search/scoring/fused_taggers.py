"""The towers of a tagged network, laid out for speed: batch normalisation folded in, in the processor's best dtype.

The members run one after the other, so that what one works on stays in the processor's caches.

Where the processor multiplies bytes, the activations between two layers are bytes. Their scales need no data: batch
normalisation holds the mean and the deviation of each activation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from hub.model.siamese import StepNorm
from hub.model.tagger import LEAST, TaggingEnsemble
from hub.runtime.int8_products import bytes_multiply, packed, product
from hub.runtime.precision import best_dtype, cpu_capabilities, next_power_of_two
from hub.search.scoring.int8 import fold_batch_norm, linears

TOLERANCE: Final = 0.02
"""Tags from bytes or bfloat16 are at most so far from the network's own (of real clips .006 at most)."""

_LARGEST: Final = 80.0
"""Logits of attention are clipped here, so that their exponentials stay finite."""

_DEVIATIONS: Final = 7.0
"""The largest byte stands for an activation at this many deviations above its mean."""

_Linear = tuple[Tensor, Tensor]
"""Weight [out, wide] and bias [out]."""

_Step = Callable[[Tensor], Tensor]
"""From activations [n, wide] to [n, out]."""


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """One tagger.

    Attributes:
        first: the first layer's product, of floats.
        layers: what comes after it, in order.
        presence: logits of each label, floats.
        attention: the same, of how much a time step weighs.
    """

    first: _Linear
    layers: Sequence[_Step]
    presence: _Step
    attention: _Step


class FusedTaggers:
    """A faster `TaggingEnsemble.tower`.

    Args:
        network: in eval mode.
        dtype: of the activations; by default uint8 where the processor multiplies bytes, else bfloat16 where it
            multiplies that, else float32.
    """

    def __init__(self, network: TaggingEnsemble, dtype: torch.dtype | None = None) -> None:
        self._network = network
        if dtype is None:
            dtype = torch.uint8 if bytes_multiply() else best_dtype(cpu_capabilities())
        self._dtype = best_dtype(cpu_capabilities()) if dtype == torch.uint8 else dtype
        tagger, count = network.tagger, network.config.members
        with torch.inference_mode():
            pairs = linears(tagger.layers)
            folded = [fold_batch_norm(*pair) for pair in pairs]
            heads = [(head.weight, head.bias) for head in (tagger.presence, tagger.attention)]
            layers = _of_each([*folded, *heads], count)
            if dtype == torch.uint8:
                scales = zip(*(_byte_scale(norm).chunk(count) for _, norm in pairs), strict=True)
                self._members = [_in_bytes(*each, self._dtype) for each in zip(layers, scales, strict=True)]
            else:
                self._members = [_in_floats(each, self._dtype) for each in layers]

    def __call__(self, features: Tensor) -> Tensor:
        """Towers float32 [B, 1, 8 + profile] of dequantised features, float32 [B, frames, dimension]."""
        count = len(features)
        features = nn.functional.pad(features, (0, 0, 0, 0, 0, next_power_of_two(count) - count))
        steps = self._network.tagger.standardise(features).to(self._dtype)
        tags = torch.stack([_tags(steps, member) for member in self._members]).mean(dim=0)
        return self._network.compressed(tags[:count].clamp_(LEAST, 1.0 - LEAST))


def _tags(steps: Tensor, member: _Member) -> Tensor:
    """Return the tags of one member, float32 [B, 8 + fine], of standardised features [B, frames, dimension]."""
    weight, bias = member.first
    wide = steps.shape[-1]
    first = linear(steps, weight[:, :wide], bias)
    if weight.shape[1] > wide:  # the mean of all steps is the same at each: its product is taken once
        first += linear(steps.float().mean(dim=1, keepdim=True).to(steps.dtype), weight[:, wide:])
    hidden = first.flatten(0, 1)
    for layer in member.layers:
        hidden = layer(hidden)
    shape = (*steps.shape[:2], -1)
    weights = member.attention(hidden).reshape(shape).clamp_(-_LARGEST, _LARGEST).exp_()
    tags = member.presence(hidden).reshape(shape).sigmoid_().mul_(weights)
    return tags.sum(dim=1, dtype=torch.float32) / weights.sum(dim=1, dtype=torch.float32)


def _of_each(layers: Sequence[_Linear], count: int) -> list[tuple[_Linear, ...]]:
    """Layers of all members as those of each."""
    parts = [zip(weight.chunk(count), bias.chunk(count), strict=True) for weight, bias in layers]
    return list(zip(*parts, strict=True))


def _byte_scale(norm: StepNorm) -> Tensor:
    """Return what one step of a byte stands for in each activation after a normalisation, float32 [out]."""
    return (norm.bias + _DEVIATIONS * norm.weight.abs()).clamp(min=1e-6) / 255.0


def _in_floats(layers: Sequence[_Linear], dtype: torch.dtype) -> _Member:
    first, *rest = [(weight.to(dtype).contiguous(), bias.to(dtype).contiguous()) for weight, bias in layers]
    *hidden, presence, attention = [partial(linear, weight=weight, bias=bias) for weight, bias in rest]
    return _Member(first, [torch.relu_, *(_rectified(each) for each in hidden)], presence, attention)


def _rectified(product: _Step) -> _Step:
    return lambda values: torch.relu_(product(values))


def _in_bytes(layers: Sequence[_Linear], scales: Sequence[Tensor], dtype: torch.dtype) -> _Member:
    """One tagger whose activations are bytes; the scales are those of each layer but the heads."""
    (weight, bias), *rest = layers
    first = ((weight / scales[0][:, None]).to(dtype).contiguous(), (bias / scales[0]).to(dtype))
    hidden = [
        partial(product, matrix=packed(weight * before / after[:, None]), bias=bias / after, dtype=torch.uint8)
        for (weight, bias), before, after in zip(rest[:-2], scales[:-1], scales[1:], strict=True)
    ]
    presence, attention = [
        partial(product, matrix=packed(weight * scales[-1]), bias=bias.contiguous(), dtype=dtype)
        for weight, bias in rest[-2:]
    ]
    return _Member(first, [_to_bytes, *hidden], presence, attention)


def _to_bytes(values: Tensor) -> Tensor:
    return values.add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
