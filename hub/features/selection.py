"""Which feature space serves clips of sound, and the extractor for it."""

from dataclasses import dataclass
from pathlib import Path

from hub.features.logmel import LogMel
from hub.features.vggish.extractor import HOW_TO_GET, NETWORK_FILE, PCA_FILE, Vggish
from shared.backbones import described, space_named
from shared.backbones.onnx_backbone import Backbone
from shared.extractor import Extractor
from shared.feature_space import LOGMEL, SMALL, VGGISH, FeatureSpace


@dataclass(frozen=True, slots=True)
class Choice:
    """The feature space for sound.

    Attributes:
        space: what clips are turned into.
        reason: one sentence for the log and for `check`.
    """

    space: FeatureSpace
    reason: str


def choose_space(name: str | None, weights_dir: Path) -> Choice:
    """The feature space that is named; else VGGish if its weights are there, else ours.

    Args:
        name: as `space_named` takes it, or None.
        weights_dir: where `fetch-vggish` puts the weights.

    Raises:
        Invalid: an unknown name, or a description that is not understood.
        Unavailable: the description cannot be opened.
    """
    if name is not None:
        space = space_named(name)
        return Choice(space, f"Sound becomes {space.id}, as model.space says.")
    missing = [name for name in (NETWORK_FILE, PCA_FILE) if not (weights_dir / name).is_file()]
    if not missing:
        return Choice(VGGISH, f"Sound becomes {VGGISH.id}: VGGish's weights are in {weights_dir}.")
    return Choice(
        SMALL,
        f"Sound becomes {SMALL.id}, the backbone that ships. To use VGGish, which is larger, {HOW_TO_GET}.",
    )


def extractor_for(space_id: str, weights_dir: Path) -> Extractor:
    """The extractor of a feature space.

    Args:
        space_id: id of the feature space.
        weights_dir: where VGGish's weights are; not read for others.

    Raises:
        Invalid: no extractor for this feature space, or damaged weights.
        Unavailable: weights are not there; says how to get them.
    """
    if space_id == VGGISH.id:
        return Vggish.load(weights_dir)
    if space_id == LOGMEL.id:
        return LogMel()
    return Backbone(described(space_id))
