"""The network that ships: towers that also tag, and whose tags are the prior of the presence matrix.

1. A *trunk*, shared by both clips, turns each time step into 512 values.
2. Each clip is tagged on its own: attention over time gives the probability of the eight categories and, from
   training with finer labels, of some hundred kinds of sound. The latter, compressed, are the clip's *profile*.
3. The paper's Siamese network works on the trunk's steps and gives a presence matrix of the pair.
4. The product of that matrix, as far as it is trusted, and of the one that the two clips' tags imply, normalised, is
   the result. A network whose pair layers turned out to add nothing goes without them: its tags are compared.
5. Clips are ranked by level of similarity plus the *affinity* of their profiles: same categories first, and among
   those the same kind of sound.

Several taggers of the same shape, its *members*, may stand side by side; a tag is the mean of what they say.

A clip's tower output has one row more than steps: the last holds its tags and profile.

Source: the paper, section 3.1 (3. and the presence matrix); Kong et al., Audio Set classification with attention
model, reference 18 of the paper (2.).
"""

import itertools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from hub.model.network import Blocks, Layer, NetworkConfig, SiameseNetwork, StepNorm
from shared.errors import Invalid
from shared.taxonomy import COUNT

_LEAST = 1e-6
"""Tags stay this far from 0 and 1, so that no prior is certain."""


@dataclass(frozen=True, slots=True)
class TaggedConfig:
    """Everything that fixes the network's shape.

    Attributes:
        frames: time steps of one clip's features.
        dimension: values per frame.
        trunk: width of each layer shared by tagging and pairing.
        fine: finer labels known beside the eight categories; 0 if the training data had none.
        profile: values of a clip's profile; 0 without finer labels.
        width: values of a tower's output per step.
        pair: width of each layer after the concatenation; none compares tags only ("tag-and-compare").
        dropout: probability of dropping a unit between layers, while training.
        members: taggers side by side, each of the widths above.

    Raises:
        Invalid: a size that cannot be built.
    """

    frames: int
    dimension: int
    trunk: tuple[int, ...] = (512, 512, 512)
    fine: int = 0
    profile: int = 0
    width: int = 128
    pair: tuple[int, ...] = (256, 128)
    dropout: float = 0.2
    members: int = 1

    def __post_init__(self) -> None:
        sizes = (self.frames, self.dimension, *self.trunk, self.width, *self.pair, self.members)
        if not all(isinstance(n, int) and 0 < n <= 65_536 for n in sizes) or not self.trunk:
            raise Invalid(f"a tagged network needs a trunk, and sizes in [1, 65536]: {sizes}")
        if not (0 <= self.fine <= 65_536 and 0 <= self.profile <= self.width - COUNT):
            raise Invalid(f"a profile has at most {self.width - COUNT} values, got {self.profile}")
        if (self.fine == 0) != (self.profile == 0) or not 0.0 <= self.dropout < 1.0:
            raise Invalid("finer labels and a profile go together; dropout lies in [0, 1)")

    @property
    def steps(self) -> int:
        """Rows of a clip's tower output: its time steps, if pairs are looked at, and one of tags and profile."""
        return (self.frames if self.pair else 0) + 1


class Tagger(nn.Module):
    """The trunk and the heads that tag one clip; of each member, side by side."""

    def __init__(self, config: TaggedConfig) -> None:
        super().__init__()
        labels, members = COUNT + config.fine, config.members
        self.members = members
        self.standardise = StepNorm(config.dimension, affine=False)
        self.layers = nn.Sequential(
            *(
                Layer(Blocks(wide, out, members, shared=number == 0), config.dropout)
                for number, (wide, out) in enumerate(itertools.pairwise((config.dimension, *config.trunk)))
            )
        )
        self.presence = Blocks(config.trunk[-1], labels, members)
        self.attention = Blocks(config.trunk[-1], labels, members)

    def steps(self, features: Tensor) -> Tensor:
        """The trunk's output of each step: float32 [B, frames, members * trunk[-1]] from dequantised features."""
        return cast("Tensor", self.layers(self.standardise(features)))

    def tags(self, steps: Tensor) -> Tensor:
        """Probability of each label in a clip: float32 [B, 8 + fine], the mean of `each` member's."""
        return self.each(steps).mean(dim=1)

    def each(self, steps: Tensor) -> Tensor:
        """Probability of each label in a clip, as each member has it.

        Args:
            steps: float32 [B, frames, members * trunk[-1]].

        Returns:
            float32 [B, members, 8 + fine], in (0, 1): the categories first.

        Source: the paper, equation (1), for one clip.
        """
        attention = torch.softmax(self.attention(steps), dim=1)
        tags = (attention * torch.sigmoid(self.presence(steps))).sum(dim=1).clamp(_LEAST, 1.0 - _LEAST)
        return tags.unflatten(1, (self.members, -1))


class TaggedNetwork(nn.Module):
    """Tagger, Siamese network and affinity; see the module's docstring.

    Inputs are dequantised features, float32 [B, frames, dimension].

    Attributes:
        projection: float32 [fine, profile], from square roots of fine probabilities to the profile.
        weight: float32 scalar, how many levels a perfect affinity is worth in the ranking.
        trust: float32 scalar in [0, 1], the power of the Siamese network's matrix in the product: 0 believes the
            tags alone, 1 both alike.
        shift: float32 scalar, what is added to the log-odds of the categories' tags before clips are compared: above
            0, a category in doubt counts for more.
    """

    projection: Tensor
    weight: Tensor
    trust: Tensor
    shift: Tensor

    def __init__(self, config: TaggedConfig) -> None:
        super().__init__()
        self.config = config
        self.tagger = Tagger(config)
        self.siamese = (
            SiameseNetwork(
                NetworkConfig(
                    frames=config.frames,
                    dimension=config.members * config.trunk[-1],
                    tower=(config.width,),
                    pair=config.pair,
                    dropout=config.dropout,
                )
            )
            if config.pair
            else None
        )
        if self.siamese is not None:  # untrained, it says nothing: all situations alike
            nn.init.zeros_(self.siamese.situation.weight)
            nn.init.zeros_(self.siamese.situation.bias)
        self.register_buffer("projection", torch.zeros(config.fine, config.profile))
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("trust", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))

    def tower(self, features: Tensor) -> Tensor:
        """One clip's side of the network.

        Args:
            features: float32 [B, frames, dimension], dequantised.

        Returns:
            float32 [B, config.steps, width]: the Siamese tower's rows, and last a row of the eight tags, the
            profile (of length 1) and zeros.
        """
        steps = self.tagger.steps(features)
        tags = self.tagger.tags(steps)
        fine = tags[:, COUNT:].sqrt() @ self.projection
        profile = nn.functional.normalize(fine, dim=1)
        rest = features.new_zeros(len(features), self.config.width - COUNT - self.config.profile)
        categories = torch.sigmoid(torch.logit(tags[:, :COUNT]) + self.shift).clamp(_LEAST, 1.0 - _LEAST)
        own = torch.cat([categories, profile, rest], dim=1).unsqueeze(1)
        return own if self.siamese is None else torch.cat([self.siamese.tower(steps), own], dim=1)

    def log_pair(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """Log-probabilities of the presence matrix of B pairs.

        Args:
            query_tower: float32 [B, config.steps, width].
            event_tower: float32 [B, config.steps, width].

        Returns:
            float32 [B, 8, 3]; `exp` of each row sums to 1.
        """
        matrix = log_prior(query_tower[:, -1, :COUNT], event_tower[:, -1, :COUNT])
        if self.siamese is not None:
            matrix = matrix + self.trust * self.siamese.log_pair(query_tower[:, :-1], event_tower[:, :-1])
        return torch.log_softmax(matrix, dim=-1)

    def pair(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """The presence matrix of B pairs: float32 [B, 8, 3], rows sum to 1; arguments as `log_pair`."""
        return self.log_pair(query_tower, event_tower).exp()

    def affinity(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """How alike the kinds of sound are: the square of the profiles' cosine.

        Args:
            query_tower: float32 [..., config.steps, width].
            event_tower: float32 [..., config.steps, width], broadcast against it.

        Returns:
            float32 [...], in [0, 1]; 0 without profiles.
        """
        end = COUNT + self.config.profile
        cosine = (query_tower[..., -1, COUNT:end] * event_tower[..., -1, COUNT:end]).sum(dim=-1)
        return cosine.clamp(0.0, 1.0).square()

    def forward(self, query: Tensor, event: Tensor) -> Tensor:
        """The presence matrix of B pairs of clips, float32 [B, frames, dimension] each: float32 [B, 8, 3]."""
        return self.pair(self.tower(query), self.tower(event))


def log_prior(query: Tensor, event: Tensor) -> Tensor:
    """The presence matrix that two clips' tags imply if they are right independently, as logarithms.

    Args:
        query: float [..., 8], probability of each category in one clip, in (0, 1).
        event: float [..., 8], in the other; broadcast against it.

    Returns:
        float [..., 8, 3]: log P(both), log P(neither), log P(one).
    """
    both, neither = query * event, (1.0 - query) * (1.0 - event)
    one = query * (1.0 - event) + event * (1.0 - query)
    return torch.stack([both, neither, one], dim=-1).log()
