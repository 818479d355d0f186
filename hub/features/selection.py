"""Which feature space serves clips of sound, and the extractor for it."""

from dataclasses import dataclass
from pathlib import Path

from hub.features.logmel import LogMel
from hub.features.vggish.extractor import INSTALL_HINT, NETWORK_FILE, PCA_FILE, Vggish
from shared.backbones import manifest_path, resolve_space
from shared.backbones.onnx_backbone import Backbone
from shared.extractor import FeatureExtractor
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH, FeatureSpace


@dataclass(frozen=True, slots=True)
class ExtractorChoice:
    """The feature space for sound.

    Attributes:
        space: what clips are turned into.
        reason: one sentence for the log and for `check`.
    """

    space: FeatureSpace
    reason: str


def select_space(name: str | None, weights_dir: Path) -> ExtractorChoice:
    """The feature space that is named; else VGGish if its weights are there, else ours.

    Args:
        name: as `space_named` takes it, or None.
        weights_dir: where `weights fetch vggish` puts the weights.

    Raises:
        Invalid: an unknown name, or a description that is not understood.
        Unavailable: the description cannot be opened.
    """
    if name is not None:
        space = resolve_space(name)
        return ExtractorChoice(space, f"Sound becomes {space.id}, as features.space says.")
    missing = [name for name in (NETWORK_FILE, PCA_FILE) if not (weights_dir / name).is_file()]
    if not missing:
        return ExtractorChoice(VGGISH, f"Sound becomes {VGGISH.id}: VGGish's weights are in {weights_dir}.")
    return ExtractorChoice(
        EARWITNESS_SMALL,
        f"Sound becomes {EARWITNESS_SMALL.id}, the backbone that ships. To use VGGish, which is larger,"
        f" {INSTALL_HINT}.",
    )


def load_extractor(space_id: str, weights_dir: Path) -> FeatureExtractor:
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
    return Backbone(manifest_path(space_id))
