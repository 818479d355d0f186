"""The identity of a clip: a short vector, close to that of another clip of the same source.

Categories name the kind of sound in a clip. The identity distinguishes one jackhammer from another: it keeps what
differs between sources and drops what differs between two clips of one source. Two clips are compared by the inner
product of their identities, a cosine.

1. Features are pooled over time: their mean and standard deviation, 2 x dimension values.
2. A linear layer projects them, after a shift, onto `values` directions; hidden units beside it, if there are any,
   correct the projection.
3. The result is scaled to length 1 and rounded to multiples of 1 / 127, so that it is kept as one byte per value.

Source: Hatch and Stolcke 2006, within-class covariance normalisation (2.); docs/decisions/0014.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from hub.domain.closest_source import Margins
from hub.model.calibration import Curve
from shared.errors import InvalidError

STEPS: Final = 127
"""Steps between 0 and 1 of an identity's values."""
MOST: Final = 64
"""Most values, and so bytes, of an identity."""
_TINY: Final = 1e-20
"""Least variance: the square root has no gradient at 0."""


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """Everything that fixes the shape of an identity network.

    Attributes:
        frames: time steps of one clip's features.
        dimension: values per frame.
        values: values of an identity, in [1, 64].
        hidden: hidden units beside the projection; 0 for none.

    Raises:
        InvalidError: a size that cannot be built.
    """

    frames: int
    dimension: int
    values: int = MOST
    hidden: int = 0

    def __post_init__(self) -> None:
        sizes = (self.frames, self.dimension, self.values, self.hidden + 1)
        if not all(isinstance(n, int) and 0 < n <= 65_536 for n in sizes) or self.values > MOST:
            raise InvalidError(f"an identity has up to {MOST} values of a clip of at least one frame: {sizes}")


class IdentityNetwork(nn.Module):
    """Pooling and projection; see the module's docstring.

    Attributes:
        centre: float32 [2 x dimension], what pooled features are shifted by.
        weight: float32 scalar, how many levels of similarity a perfect identity is worth where clips are ranked by
            kind and source together.
        floor: float32 scalar, the cosine up to which it is worth nothing, in [-1, 1): most clips that are somewhat
            close are of other sources, and would only disturb the ranking by kind.

    Args:
        config: its shape.
        dropout: probability of dropping a hidden unit, while training.
    """

    weight: Tensor
    floor: Tensor

    def __init__(self, config: IdentityConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        pooled = 2 * config.dimension
        self.centre = nn.Parameter(torch.zeros(pooled))
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("floor", torch.zeros(()))
        self.projection = nn.Linear(pooled, config.values, bias=False)
        self.correction: nn.Sequential | None = None
        if config.hidden:
            last = nn.Linear(config.hidden, config.values, bias=False)
            nn.init.zeros_(last.weight)  # so that learning starts from the projection
            self.correction = nn.Sequential(nn.Linear(pooled, config.hidden), nn.ReLU(), nn.Dropout(dropout), last)

    def pooled(self, features: Tensor) -> Tensor:
        """Mean and standard deviation over time, float32 [B, 2 x dimension], of float32 [B, frames, dimension]."""
        mean = features.mean(dim=1, keepdim=True)
        variance = (features - mean).square().mean(dim=1)  # Tensor.std takes twenty times as long
        return torch.cat([mean[:, 0], variance.clamp(min=_TINY).sqrt()], dim=1)

    def worth(self, cosines: Tensor) -> Tensor:
        """Return what cosines float32 [...] add to the rank by kind, in levels: float32 [...], in [0, weight]."""
        return self.weight * ((cosines - self.floor) / (1.0 - self.floor)).clamp(min=0.0)

    def forward(self, features: Tensor) -> Tensor:
        """Identities of B clips.

        Args:
            features: float32 [B, frames, dimension], dequantised.

        Returns:
            float32 [B, values], of length 1 but for rounding; multiples of 1 / 127.
        """
        return self.rounded(self.of_pooled(self.pooled(features)))

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Identities before rounding, float32 [B, values], of features pooled over time, [B, 2 x dimension]."""
        shifted = pooled - self.centre
        made = self.projection(shifted)
        return nn.functional.normalize(made if self.correction is None else made + self.correction(shifted), dim=1)

    def rounded(self, made: Tensor) -> Tensor:
        """Identities in whole steps of 1 / 127."""
        return torch.round(made * STEPS) / STEPS


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """The identity part of a checkpoint: it distinguishes sources.

    Attributes:
        network: in eval mode.
        pair: from the cosine of two identities to P(same source), of any two clips.
        match: the same, of a query and one of its ten best: the best of thousands is there partly by luck.
        margins: from which the event closest by source keeps a place in a search by both; None: it keeps none.
    """

    network: IdentityNetwork
    pair: Curve
    match: Curve
    margins: Margins | None = None

    def document(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON values."""
        document = {"network": asdict(self.network.config), "pair": asdict(self.pair), "match": asdict(self.match)}
        return document if self.margins is None else document | {"margins": asdict(self.margins)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Identity":
        """From JSON values, with tensors still to be loaded.

        Raises:
            InvalidError: they are not an identity's.
        """
        try:
            network = IdentityNetwork(IdentityConfig(**document["network"]))
            pair, match = (Curve.of(document[name]) for name in ("pair", "match"))
            margins = Margins.of(document.get("margins"))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidError(f"its identity is not understood: {error}") from error
        return cls(network, pair, match, margins)
