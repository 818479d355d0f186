"""The Siamese network with a Pairwise Presence Matrix and its variants, in one file.

1. Twin towers that share weights turn each time step of a clip into 128 values.
2. The two clips' tower outputs are concatenated step by step and pass two more layers (256, 128).
3. An output layer gives three probabilities per category and step: both, neither, one.
4. Attention weighs the steps (equation 1) and yields the 8 x 3 presence matrix.

The multi-model, eight sub-models of this shape with one category each, is the same network with all of its
layers side by side: eight times as wide, and each block of a layer sees its own sub-model's block only.

Source: the paper, sections 3.1 and 5.2 and figure 1.
"""

import itertools
import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from hub.domain.presence_matrix import PAIR_STATES
from shared.errors import InvalidError
from shared.taxonomy import COUNT


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Everything that fixes the network's shape.

    Attributes:
        frames: time steps of one clip's features.
        dimension: values per frame.
        frames_per_step: consecutive frames that enter a tower side by side as one step. 1 is the paper.
        tower: width of each tower layer; none is the variant without Siamese structure, in which the
            standardised features themselves are concatenated.
        pair: width of each layer after the concatenation.
        dropout: probability of dropping a unit between layers, while training.
        attention: whether equation (1) weighs the steps; otherwise all weigh the same.
        models: sub-models, each of the widths above and with an equal share of the categories. 1 is the
            single-model, 8 the multi-model.

    Raises:
        InvalidError: a size that cannot be built.

    Source: the paper, section 3.1 (3 x 128; 256 and 128; dropout of 0.5) and section 5.2 (variants).
    """

    frames: int
    dimension: int
    frames_per_step: int = 1
    tower: tuple[int, ...] = (128, 128, 128)
    pair: tuple[int, ...] = (256, 128)
    dropout: float = 0.5
    attention: bool = True
    models: int = 1

    def __post_init__(self) -> None:
        sizes = (self.frames, self.dimension, self.frames_per_step, *self.tower, *self.pair, self.models)
        if not all(isinstance(n, int) and 0 < n <= 65_536 for n in sizes):
            raise InvalidError(f"network sizes must be in [1, 65536]: {sizes}")
        if self.frames % self.frames_per_step:
            raise InvalidError(f"{self.frames} frames do not divide into steps of {self.frames_per_step}")
        if not self.pair or not 0.0 <= self.dropout < 1.0 or not isinstance(self.attention, bool):
            raise InvalidError("a network needs pair layers, a dropout in [0, 1), and attention or none")
        if COUNT % self.models:
            raise InvalidError(f"{COUNT} categories do not divide among {self.models} sub-models")

    @property
    def steps(self) -> int:
        """Time steps that towers give and attention weighs."""
        return self.frames // self.frames_per_step

    @property
    def width(self) -> int:
        """Values kept of a clip per step: all towers' outputs side by side, or without towers the features."""
        return self.tower[-1] * self.models if self.tower else self.dimension * self.frames_per_step


class StepNorm(nn.BatchNorm1d):
    """Batch normalisation of [..., C] over everything but the last axis."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Normalise float [..., C]."""
        flat = super().forward(input.reshape(-1, input.shape[-1]))
        return flat.reshape(input.shape)


class ByteDropout(nn.Module):
    """Dropout whose coin is one random byte per unit: many times faster than torch's on a CPU.

    The probability is rounded to a 256th; 0.5 is exact.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.threshold = round(probability * 256)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Drop units of float [...] while training, and scale up the others."""
        if not (self.training and self.threshold):
            return input
        words = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        coins = words.view(torch.uint8)[: input.numel()].view(input.shape)
        factor = torch.ge(coins, self.threshold, out=torch.empty_like(input, requires_grad=False))
        return input * factor.mul_(256.0 / (256 - self.threshold))


class BlockDiagonalLinear(nn.Linear):
    """The linear layers of all sub-models side by side.

    Args:
        wide: inputs of one sub-model.
        out: outputs of one sub-model.
        models: sub-models; with one, this is a plain linear layer.
        shared: whether all see the same `wide` inputs; otherwise each sees its own block of the input.
        bias: whether to add one.
    """

    def __init__(self, wide: int, out: int, models: int, *, shared: bool = False, bias: bool = True) -> None:
        super().__init__(wide, models * out, bias)
        self.blocks = 1 if shared else models

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Apply to float [..., wide] if shared, else [..., models * wide]; gives [..., models * out]."""
        return blockwise(input, self.weight, self.bias, self.blocks)


def blockwise(values: Tensor, weight: Tensor, bias: Tensor | None, blocks: int) -> Tensor:
    """Return a linear layer whose matrix is block-diagonal.

    Args:
        values: float [..., blocks * wide].
        weight: float [blocks * out, wide], the blocks one below the other.
        bias: float [blocks * out], or None.
        blocks: how many.

    Returns:
        float [..., blocks * out].
    """
    if blocks == 1:
        return nn.functional.linear(values, weight, bias)
    wide = weight.shape[1]
    inputs, matrices = values.reshape(-1, blocks, wide), weight.reshape(blocks, -1, wide)
    outputs = torch.einsum("nmi,moi->nmo", inputs, matrices).reshape(*values.shape[:-1], -1)
    return outputs if bias is None else outputs + bias


class Layer(nn.Sequential):
    """Linear, batch normalisation, ReLU, dropout. Source: the paper, section 3.1."""

    def __init__(self, linear: BlockDiagonalLinear, dropout: float) -> None:
        super().__init__(linear, StepNorm(linear.out_features), nn.ReLU(), ByteDropout(dropout))


class SplitPairLayer(nn.Module):
    """The first pair layer, its matrix split over the concatenation: W [a; b] = Wq a + We b.

    Each half is computed once per clip, and a pair costs one addition here.
    """

    def __init__(self, wide: int, out: int, models: int, dropout: float, *, shared: bool) -> None:
        super().__init__()
        self.query = BlockDiagonalLinear(wide, out, models, shared=shared)
        self.event = BlockDiagonalLinear(wide, out, models, shared=shared, bias=False)
        self.norm = StepNorm(models * out)
        self.dropout = ByteDropout(dropout)
        for half in (self.query, self.event):  # as one matrix of 2 x wide inputs would begin
            nn.init.uniform_(half.weight, -((2 * wide) ** -0.5), (2 * wide) ** -0.5)

    def forward(self, query_half: Tensor, event_half: Tensor) -> Tensor:
        """Join two halves, float [B, S, out] each, into activations [B, S, out]."""
        return cast("Tensor", self.dropout(torch.relu(self.norm(query_half + event_half))))


class SiameseNetwork(nn.Module):
    """Towers, pair layers, output and attention; see the module's docstring.

    Inputs are dequantised features, float32 [B, frames, dimension]. P stands for `models * pair[0]`.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        models, dropout, pair = config.models, config.dropout, config.pair
        widths = (config.dimension * config.frames_per_step, *config.tower)
        each = COUNT // models
        self.standardise = StepNorm(config.dimension, affine=False)
        self.towers = nn.Sequential(
            *(
                Layer(BlockDiagonalLinear(wide, out, models, shared=number == 0), dropout)
                for number, (wide, out) in enumerate(itertools.pairwise(widths))
            )
        )
        self.joint = SplitPairLayer(widths[-1], pair[0], models, dropout, shared=not config.tower)
        self.pairs = nn.Sequential(
            *(Layer(BlockDiagonalLinear(wide, out, models), dropout) for wide, out in itertools.pairwise(pair))
        )
        self.situation = BlockDiagonalLinear(pair[-1], each * PAIR_STATES, models)
        self.attention = BlockDiagonalLinear(pair[-1], each, models) if config.attention else None

    def tower(self, features: Tensor) -> Tensor:
        """One clip's side of the network.

        Args:
            features: float32 [B, frames, dimension], dequantised.

        Returns:
            float32 [B, steps, width]; not negative if there are towers.
        """
        steps = self.standardise(features).reshape(features.shape[0], self.config.steps, -1)
        return cast("Tensor", self.towers(steps))

    def halves(self, towers: Tensor) -> tuple[Tensor, Tensor]:
        """Each clip's share of the first pair layer, as query and as event.

        Args:
            towers: float32 [B, steps, width].

        Returns:
            Two float32 [B, steps, P].
        """
        return self.joint.query(towers), self.joint.event(towers)

    def pair_log_probs(self, query_half: Tensor, event_half: Tensor) -> Tensor:
        """Log-probabilities of the presence matrix from precomputed halves.

        Args:
            query_half: float32 [B, steps, P] from `halves(...)[0]`.
            event_half: float32 [B, steps, P] from `halves(...)[1]`.

        Returns:
            float32 [B, 8, 3]; `exp` of each row sums to 1.

        Source: the paper, equation (1): attention v is a softmax over time steps, per category; f is the
        softmax over the three situations at each step.
        """
        hidden = self.pairs(self.joint(query_half, event_half))
        situation = self.situation(hidden).unflatten(-1, (COUNT, PAIR_STATES))
        log_f = torch.log_softmax(situation.float(), dim=-1)
        if self.attention is None:
            return torch.logsumexp(log_f, dim=1) - math.log(self.config.steps)
        log_v = torch.log_softmax(self.attention(hidden).float(), dim=1)
        return torch.logsumexp(log_v.unsqueeze(-1) + log_f, dim=1)

    def attention_weights(self, query: Tensor, event: Tensor) -> Tensor:
        """Return the weight of each time step of B pairs in each category.

        Args:
            query: float32 [B, frames, dimension], dequantised.
            event: the same.

        Returns:
            float32 [B, steps, 8]; sums to 1 over the steps.

        Source: the paper, equation (1), v.
        """
        if self.attention is None:
            return torch.full((len(query), self.config.steps, COUNT), 1.0 / self.config.steps)
        halves = self.joint.query(self.tower(query)), self.joint.event(self.tower(event))
        return torch.softmax(self.attention(self.pairs(self.joint(*halves))).float(), dim=1)

    def log_pair(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """Log-probabilities of the presence matrix of B pairs; what the loss wants.

        Args:
            query_tower: float32 [B, steps, width].
            event_tower: float32 [B, steps, width].

        Returns:
            float32 [B, 8, 3].
        """
        return self.pair_log_probs(self.joint.query(query_tower), self.joint.event(event_tower))

    def pair(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """Return the presence matrix of B pairs: float32 [B, 8, 3], rows sum to 1; arguments as `log_pair`."""
        return self.log_pair(query_tower, event_tower).exp()

    def forward(self, query: Tensor, event: Tensor) -> Tensor:
        """Return the presence matrix of B pairs of clips.

        Args:
            query: float32 [B, frames, dimension], dequantised.
            event: the same.

        Returns:
            float32 [B, 8, 3], rows sum to 1.
        """
        return self.pair(self.tower(query), self.tower(event))
