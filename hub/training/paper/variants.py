"""The paper's network and its variations, as rows of one table.

A name lists what a variant has: `multi-siamese-attention` is eight sub-models with Siamese towers and attention,
`single` one model with neither. Each exists on VGGish and on log-mel features.

Source: the paper, section 5.2 and figure 3 (single and multi, with and without Siamese structure) and section 6
(without attention; log-mel).
"""

import itertools
from dataclasses import dataclass
from typing import Final

from hub.model.siamese import NetworkConfig
from hub.training import network_names
from shared.errors import InvalidError
from shared.feature_space import LOGMEL, VGGISH, FeatureSpace, get_space
from shared.taxonomy import COUNT

FRAMES_PER_STEP: Final = {LOGMEL.id: 9}
"""Frames that enter as one step, if not 1. The paper's are 1; log-mel's 108 frames make 12 here, because a step of
training takes five times as long with 108: over an hour an epoch for eight sub-models and 218,173 pairs."""

PAPER: Final = "single-siamese-attention"
"""The network of figure 1, also known as `paper`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row.

    Attributes:
        name: `single` or `multi`, then `siamese` and `attention` if it has them.
        space: the feature space it works on.
        network: its layers, as wide as in the paper's section 3.1, with dropout of 0.5.
    """

    name: str
    space: FeatureSpace
    network: NetworkConfig


def variant(name: str, space_id: str) -> Variant:
    """Return the row of a name, or of `paper`, on a feature space.

    Raises:
        InvalidError: no such name or feature space.
    """
    name = PAPER if name == "paper" else name
    if name not in NAMES:
        raise InvalidError(f"no variant {name!r}; names: {', '.join(('paper', *NAMES))}")
    has = name.split("-")
    return _row(get_space(space_id), multi="multi" in has, siamese="siamese" in has, attention="attention" in has)


def _row(space: FeatureSpace, *, multi: bool, siamese: bool, attention: bool) -> Variant:
    parts = {"multi": multi, "single": not multi, "siamese": siamese, "attention": attention}
    network = NetworkConfig(
        frames=space.frames,
        dimension=space.dimension,
        frames_per_step=FRAMES_PER_STEP.get(space.id, 1),
        tower=(128, 128, 128) if siamese else (),
        attention=attention,
        models=COUNT if multi else 1,
    )
    return Variant("-".join(part for part, has in parts.items() if has), space, network)


_CHOICES: Final = itertools.product((VGGISH, LOGMEL), (False, True), (True, False), (True, False))
_ROWS: Final = [_row(space, multi=m, siamese=s, attention=a) for space, m, s, a in _CHOICES]

VARIANTS: Final = {(row.name, row.space.id): row for row in _ROWS}
"""The paper's sixteen rows by name and feature space."""

NAMES: Final = network_names.OUTBOXES_KEY
"""The eight names, the paper's own network first."""
