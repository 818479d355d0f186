"""The network that ships: Siamese towers that tag, and whose tags give the presence matrix.

1. A *trunk*, shared by both clips, turns each time step, beside the mean of all, into 512 values.
2. Attention over time tags the clip: the probability of the eight categories and, from training with finer labels,
   of some hundred kinds of sound. The latter, compressed, are the clip's *profile*. Tags and profile are all that a
   tower gives of a clip.
3. The presence matrix of a pair is what the two clips' tags imply.
4. Clips are ranked by level of similarity plus the *affinity* of their profiles: same categories first, and among
   those the same kind of sound.

Several taggers of the same shape, its *members*, trained separately, run in parallel; a tag is the mean of
their probabilities.

Source: the paper, section 3.1 (towers, presence matrix, attention); Kong et al., Audio Set classification with
attention model, reference 18 of the paper (2.); docs/decisions/0006 (why no layers look at pairs).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from hub.model.siamese import BlockDiagonalLinear, Layer, StepNorm
from shared.errors import InvalidError
from shared.taxonomy import COUNT

LEAST = 1e-6
"""Tags stay this far from 0 and 1, so that no presence matrix is certain."""


@dataclass(frozen=True, slots=True)
class TaggedConfig:
    """Everything that fixes the network's shape.

    Attributes:
        frames: time steps of one clip's features.
        dimension: values per frame.
        trunk: width of each of a member's layers.
        fine: finer labels known beside the eight categories; 0 if the training data had none.
        profile: values of a clip's profile; 0 without finer labels.
        dropout: probability of dropping a unit between layers, while training.
        members: taggers side by side, each of the widths above.
        context: whether a step is seen beside the mean of all steps.

    Raises:
        InvalidError: a size that cannot be built.
    """

    frames: int
    dimension: int
    trunk: tuple[int, ...] = (512, 512, 512)
    fine: int = 0
    profile: int = 0
    dropout: float = 0.2
    members: int = 1
    context: bool = True

    def __post_init__(self) -> None:
        sizes = (self.frames, self.dimension, *self.trunk, self.members)
        if not all(isinstance(n, int) and 0 < n <= 65_536 for n in sizes) or not self.trunk:
            raise InvalidError(f"a tagged network needs a trunk, and sizes in [1, 65536]: {sizes}")
        if not (0 <= self.fine <= 65_536 and 0 <= self.profile <= 65_536):
            raise InvalidError("finer labels and the values of a profile lie in [0, 65536]")
        if (self.fine == 0) != (self.profile == 0) or not 0.0 <= self.dropout < 1.0:
            raise InvalidError("finer labels and a profile go together; dropout lies in [0, 1)")
        if not isinstance(self.context, bool):
            raise InvalidError("a network has context or not")

    @property
    def steps(self) -> int:
        """Rows of a clip's tower output."""
        return 1

    @property
    def width(self) -> int:
        """Values of a clip's tower output: tags and profile."""
        return COUNT + self.profile


class Tagger(nn.Module):
    """The trunk and the heads that tag one clip; of each member, side by side."""

    def __init__(self, config: TaggedConfig) -> None:
        super().__init__()
        labels, members = COUNT + config.fine, config.members
        self.members, self.context = members, config.context
        self.standardise = StepNorm(config.dimension, affine=False)
        widths = (config.dimension * (1 + config.context), *config.trunk)
        self.layers = nn.Sequential(
            *(
                Layer(BlockDiagonalLinear(wide, out, members, shared=number == 0), config.dropout)
                for number, (wide, out) in enumerate(itertools.pairwise(widths))
            )
        )
        self.presence = BlockDiagonalLinear(config.trunk[-1], labels, members)
        self.attention = BlockDiagonalLinear(config.trunk[-1], labels, members)

    def attended(self, features: Tensor) -> Tensor:
        """Return the weight of each time step of B clips in each label, the mean of the members.

        Args:
            features: float32 [B, frames, dimension], dequantised.

        Returns:
            float32 [B, frames, 8 + fine]; sums to 1 over the frames.
        """
        attention = torch.softmax(self.attention(self._hidden(features)).float(), dim=1)
        return attention.reshape(*attention.shape[:2], self.members, -1).mean(dim=2)

    def _hidden(self, features: Tensor) -> Tensor:
        steps = self.standardise(features)
        if self.context:
            steps = torch.cat([steps, steps.mean(dim=1, keepdim=True).expand_as(steps)], dim=2)
        return cast("Tensor", self.layers(steps))

    def forward(self, features: Tensor) -> Tensor:
        """Compute the probability of each label in a clip, the mean over the members.

        Args:
            features: float32 [B, frames, dimension], dequantised.

        Returns:
            float32 [B, 8 + fine], in (0, 1): the categories first.

        Source: the paper, equation (1), for one clip.
        """
        hidden = self._hidden(features)
        attention = torch.softmax(self.attention(hidden).float(), dim=1)
        tags = (attention * torch.sigmoid(self.presence(hidden).float())).sum(dim=1).clamp(LEAST, 1.0 - LEAST)
        return tags.reshape(len(features), self.members, -1).mean(dim=1)


class TaggingEnsemble(nn.Module):
    """Tagger and affinity; see the module's docstring.

    Inputs are dequantised features, float32 [B, frames, dimension].

    Attributes:
        projection: float32 [fine, profile], from square roots of fine probabilities to the profile.
        weight: float32 scalar, how many levels a perfect affinity is worth in the ranking.
        shift: float32 scalar, what is added to the log-odds of the categories' tags before clips are compared: above
            0, a category in doubt counts for more.
    """

    projection: Tensor
    weight: Tensor
    shift: Tensor

    def __init__(self, config: TaggedConfig) -> None:
        super().__init__()
        self.config = config
        self.tagger = Tagger(config)
        self.register_buffer("projection", torch.zeros(config.fine, config.profile))
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("shift", torch.zeros(()))

    def tower(self, features: Tensor) -> Tensor:
        """One clip's side of the network.

        Args:
            features: float32 [B, frames, dimension], dequantised.

        Returns:
            float32 [B, 1, 8 + profile]: the eight tags, shifted, and the profile, of length 1.
        """
        return self.compressed(self.tagger(features))

    def compressed(self, tags: Tensor) -> Tensor:
        """Return the tower's output, float32 [B, 1, 8 + profile], of tags float32 [B, 8 + fine], in (0, 1)."""
        categories = torch.sigmoid(torch.logit(tags[:, :COUNT]) + self.shift).clamp(LEAST, 1.0 - LEAST)
        profile = nn.functional.normalize(tags[:, COUNT:].sqrt() @ self.projection, dim=1)
        return torch.cat([categories, profile], dim=1).unsqueeze(1)

    def pair(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """Return the presence matrix of B pairs.

        Args:
            query_tower: float32 [B, 1, 8 + profile].
            event_tower: float32 [B, 1, 8 + profile].

        Returns:
            float32 [B, 8, 3]; each row sums to 1.
        """
        return presence_from_tags(query_tower[:, 0, :COUNT], event_tower[:, 0, :COUNT])

    def attention_weights(self, query: Tensor, event: Tensor) -> Tensor:  # noqa: ARG002 - one interface with the paper's network
        """Return the weight of each time step of B clips in each category, whatever they are paired with.

        Args:
            query: float32 [B, frames, dimension], dequantised.
            event: the same; it makes no difference.

        Returns:
            float32 [B, frames, 8]; sums to 1 over the frames.
        """
        return self.tagger.attended(query)[:, :, :COUNT]

    def affinity(self, query_tower: Tensor, event_tower: Tensor) -> Tensor:
        """Return the similarity of the kinds of sound: the square of the profiles' cosine.

        Args:
            query_tower: float32 [..., 1, 8 + profile].
            event_tower: float32 [..., 1, 8 + profile], broadcast against it.

        Returns:
            float32 [...], in [0, 1]; 0 without profiles.
        """
        cosine = (query_tower[..., 0, COUNT:] * event_tower[..., 0, COUNT:]).sum(dim=-1)
        return cosine.clamp(0.0, 1.0).square()

    def forward(self, query: Tensor, event: Tensor) -> Tensor:
        """Return the presence matrix of B pairs of clips, float32 [B, frames, dimension] each: float32 [B, 8, 3]."""
        return self.pair(self.tower(query), self.tower(event))


def stack_members(members: Sequence[TaggingEnsemble]) -> TaggingEnsemble:
    """One network of several that were trained each for itself.

    Args:
        members: at least one, of the same configuration, with one member each.

    Returns:
        A network that tags as the mean of them; its projection, weight and shift are still 0.
    """
    network = TaggingEnsemble(replace(members[0].config, members=len(members)))
    parts = [member.tagger.state_dict() for member in members]
    joined = {}
    for name, first in parts[0].items():
        tensors = [part[name] for part in parts]
        if name.startswith("standardise"):  # one for all, and all have seen the same clips
            joined[name] = torch.stack(tensors).mean(dim=0) if first.is_floating_point() else first
        else:
            joined[name] = torch.cat(tensors) if first.ndim else first
    network.tagger.load_state_dict(joined)
    return network


def split_members(network: TaggingEnsemble) -> list[TaggingEnsemble]:
    """Return the members of a network, each as a network of its own; the opposite of `stack_members`."""
    count = network.config.members
    members = []
    for number in range(count):
        member = TaggingEnsemble(replace(network.config, members=1))
        wanted = member.tagger.state_dict()
        tensors = {}
        for name, tensor in network.tagger.state_dict().items():
            alone = tensor.shape == wanted[name].shape  # shared by all
            tensors[name] = tensor.clone() if alone else tensor.chunk(count)[number].clone()
        member.tagger.load_state_dict(tensors)
        members.append(member)
    return members


def presence_from_tags(query: Tensor, event: Tensor) -> Tensor:
    """Return the presence matrix that two clips' tags imply if they are right or wrong independently.

    Args:
        query: float [..., 8], probability of each category in one clip, in [0, 1].
        event: float [..., 8], in the other; broadcast against it.

    Returns:
        float [..., 8, 3]: P(both), P(neither), P(one).
    """
    both, neither = query * event, (1.0 - query) * (1.0 - event)
    one = query * (1.0 - event) + event * (1.0 - query)
    return torch.stack([both, neither, one], dim=-1)
