"""The pair network, laid out for speed: batch normalisation folded in, each clip's half of the first layer apart.

`ExactPairScorer` is exact, in float32. `Int8PairScorer` is what a scan of many events uses: the first layer's product
in 8-bit integers, the rest in bfloat16, ranks within `TOLERANCE` of the exact ones (how fast: `bench score`). It
needs a processor that multiplies 8-bit integers (AVX512-VNNI or AMX).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from hub.domain.presence_matrix import PAIR_STATES
from hub.model.siamese import BlockDiagonalLinear, Layer, SiameseNetwork, StepNorm, blockwise
from hub.runtime.int8_products import bytes_multiply, packed, product
from hub.runtime.precision import best_dtype, cpu_capabilities
from shared.taxonomy import COUNT

TOLERANCE: Final = 0.12
"""Ranks of `Int8PairScorer` are at most so far from exact ones, in categories of 8 (measured: `bench score`)."""

BLOCK: Final = 1024
"""Events per step of a quick scan: the working set (12 MB) stays in the processor's caches."""

_ROWS: Final = 32
"""Outputs of the last product: 8 categories x (both, neither, attention), padded."""
_CODES: Final = 254.0
"""Largest code of an event's half; 255 is left to rounding."""
_LARGEST: Final = 80.0
"""Logits are clipped here, so that their exponentials stay finite."""


class ExactPairScorer:
    """The pair part of a Siamese network in eval mode, exact."""

    def __init__(self, network: SiameseNetwork) -> None:
        self._network = network
        with torch.inference_mode():
            self._query = _applied(
                *fold_batch_norm(network.joint.query, network.joint.norm), network.joint.query.blocks
            )
            weight, _ = fold_batch_norm(network.joint.event, network.joint.norm)
            self._event = _applied(weight, None, network.joint.event.blocks)
            self._layers = [
                _applied(*fold_batch_norm(linear, norm), linear.blocks) for linear, norm in linears(network.pairs)
            ]

    def __call__(self, query: Tensor | None, events: Tensor) -> Tensor:
        """Presence matrices float32 [B, 8, 3] of a query [1, S, W], or None for each event with itself."""
        hidden = self._event(events)
        hidden += self._query(events if query is None else query)
        hidden.relu_()
        for layer in self._layers:
            hidden = layer(hidden).relu_()
        situation: Tensor = self._network.situation(hidden).reshape(*hidden.shape[:2], COUNT, PAIR_STATES)
        f = situation.transpose(2, 3).contiguous().softmax(dim=2)  # over the last axis it takes ten times as long
        if self._network.attention is None:
            matrix = f.mean(dim=1)
        else:
            matrix = (self._network.attention(hidden).softmax(dim=1).unsqueeze(2) * f).sum(dim=1)
        # Rounding may carry a certain row past 1, which is no probability.
        return matrix.transpose(1, 2).clamp(max=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedHalf:
    """Events' half of the first pair layer, in 8 bits: `low + step * codes`.

    Attributes:
        codes: uint8 [S, n, P].
        low: float32 [P].
        step: float32 [P].
    """

    codes: Tensor
    low: Tensor
    step: Tensor


class Int8PairScorer:
    """Ranks one query against many events, in 8 bits.

    With e an event's half and q the query's, relu(e + q) = max(e, -q) + q: so a pair costs one maximum of bytes
    before the product, and all that depends on the query alone becomes a bias.

    Args:
        network: a single-model with two pair layers, in eval mode; see `serves`.
    """

    tolerance = TOLERANCE

    def __init__(self, network: SiameseNetwork) -> None:
        with torch.inference_mode():
            self._query, self._shift = fold_batch_norm(network.joint.query, network.joint.norm)
            self._event, _ = fold_batch_norm(network.joint.event, network.joint.norm)
            ((linear, norm),) = linears(network.pairs)
            self._weight, self._bias = fold_batch_norm(linear, norm)
            rows = torch.zeros(_ROWS, self._weight.shape[0])
            offsets = torch.zeros(_ROWS)
            _last(network, rows, offsets)
            self._rows, self._offsets = rows, offsets
        self._dtype = best_dtype(cpu_capabilities())
        self._half_weight = self._event.t().contiguous().to(self._dtype)
        self._last = self._rows.to(self._dtype)

    @staticmethod
    def is_supported(network: SiameseNetwork) -> bool:
        """Return whether this network and this processor can be served."""
        config = network.config
        return config.models == 1 and len(config.pair) == 2 and bytes_multiply()

    def precompute(self, towers: Tensor) -> QuantisedHalf:
        """Events' half of the first pair layer.

        Args:
            towers: float32 [n, S, W], n at least 1.
        """
        count, steps, wide = towers.shape
        codes = torch.empty(steps, count, len(self._event), dtype=torch.uint8)
        halves = torch.mm(towers.transpose(0, 1).reshape(-1, wide).to(self._dtype), self._half_weight)
        low, high = halves.amin(dim=0).float(), halves.amax(dim=0).float()  # aminmax takes six times as long
        scale = _CODES / (high - low).clamp(min=1e-4)
        offset = 0.5 - low * scale  # half a code, because integers are cut, not rounded
        for own, out in zip(halves.view(steps, count, -1), codes, strict=True):
            out.copy_(torch.addcmul(offset, own.float(), scale).int())
        return QuantisedHalf(codes, low, 1.0 / scale)

    def ranks(self, query: Tensor, events: QuantisedHalf) -> Tensor:
        """Level of similarity float32 [n] of a query float32 [S, W] and each event, within `TOLERANCE`."""
        own = torch.nn.functional.linear(query, self._query, self._shift)
        threshold = ((-own - events.low) / events.step).round_().clamp_(0, 255)
        reached = threshold * events.step + events.low
        # Below the threshold an event's unit is 0; a query below the lowest code lifts all of them alike.
        lift = (own + events.low).clamp_(min=0.0) - reached + events.low
        matrix = packed(self._weight * events.step)
        floor = (-self._bias - torch.nn.functional.linear(lift, self._weight)).to(self._dtype)
        bias = torch.nn.functional.linear(-floor.float(), self._rows, self._offsets).t().unsqueeze(2).to(self._dtype)
        least, floor = threshold.to(torch.uint8).unsqueeze(1), floor.unsqueeze(1)
        steps, count, wide = events.codes.shape
        levels = torch.empty(count)
        for start in range(0, count, BLOCK):
            codes = events.codes[:, start : start + BLOCK]
            if codes.shape[1] != BLOCK or start == 0:  # buffers, for all blocks but a last shorter one
                n = codes.shape[1]
                active = torch.empty(steps, n, wide, dtype=torch.uint8)
                logits = torch.empty(_ROWS, steps * n, dtype=self._dtype)
            torch.maximum(codes, least, out=active)
            hidden = product(active.view(steps * n, wide), matrix, self._dtype).view(steps, n, -1)
            torch.maximum(hidden, floor, out=hidden)
            torch.mm(self._last, hidden.view(steps * n, -1).t(), out=logits)
            _level(logits.view(_ROWS, steps, n), bias, out=levels[start : start + n])
        return levels


def _level(logits: Tensor, bias: Tensor, out: Tensor) -> None:
    """Level of similarity float32 [n] from logits [32, S, n] against `one`, and attention; overwrites the logits.

    Source: the paper, equation (1) and section 3.1.
    """
    raised = logits.add_(bias).clamp_(-_LARGEST, _LARGEST).exp_()
    alike = raised[:COUNT].add_(raised[COUNT : 2 * COUNT])
    weights = raised[2 * COUNT : 3 * COUNT]
    apart = weights / alike.add_(1.0)  # attention times P(one)
    total = apart.sum(dim=1, dtype=torch.float32) / weights.sum(dim=1, dtype=torch.float32)
    torch.sub(float(COUNT), total.sum(dim=0), out=out)


def _last(network: SiameseNetwork, rows: Tensor, offsets: Tensor) -> None:
    """Fill in the output layers: both and neither against one, and attention (all steps alike without it)."""
    situation = network.situation
    weight, bias = situation.weight.view(COUNT, PAIR_STATES, -1), situation.bias.view(COUNT, PAIR_STATES)
    for column in (0, 1):
        rows[column * COUNT : (column + 1) * COUNT] = weight[:, column] - weight[:, 2]
        offsets[column * COUNT : (column + 1) * COUNT] = bias[:, column] - bias[:, 2]
    if network.attention is not None:
        rows[2 * COUNT : 3 * COUNT] = network.attention.weight
        offsets[2 * COUNT : 3 * COUNT] = network.attention.bias


def linears(layers: nn.Sequential) -> list[tuple[BlockDiagonalLinear, StepNorm]]:
    """Return the linear layer and the normalisation of each `Layer`, in order; ReLU and dropout are the caller's."""
    return [
        (cast("BlockDiagonalLinear", layer[0]), cast("StepNorm", layer[1]))
        for layer in cast("Iterable[Layer]", layers)
    ]


def fold_batch_norm(linear: BlockDiagonalLinear, norm: StepNorm) -> tuple[Tensor, Tensor]:
    """Return a linear layer with the batch normalisation after it multiplied in, as in eval mode.

    Returns:
        Weight float32 [out, wide] and bias float32 [out].
    """
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    bias = torch.zeros_like(mean) if linear.bias is None else linear.bias
    return linear.weight * scale[:, None], bias * scale + norm.bias - mean * scale


def _applied(weight: Tensor, bias: Tensor | None, blocks: int) -> Callable[[Tensor], Tensor]:
    return lambda values: blockwise(values, weight, bias, blocks)


def byte_product(wide: int, out: int) -> Callable[[Tensor], Tensor] | None:
    """Return bytes [n, wide] times a matrix, float32 [n, out]; None where bytes are not multiplied fast."""
    if not bytes_multiply():
        return None
    matrix = packed(torch.rand(out, wide) - 0.5)
    return lambda codes: product(codes, matrix)
