"""Selection of the feature space for audio, and of its extractor."""

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
    """The selected feature space.

    Attributes:
        space: the feature space of audio clips.
        reason: one sentence for the log and for `check`.
    """

    space: FeatureSpace
    reason: str


def select_space(name: str | None, weights_dir: Path) -> ExtractorChoice:
    """Return the named feature space, otherwise VGGish if its weights are installed, otherwise `earwitness-small`.

    Args:
        name: name as for `resolve_space`, or None.
        weights_dir: folder into which `weights fetch vggish` writes the weights.

    Raises:
        InvalidError: the name is unknown, or the description cannot be read.
        UnavailableError: the description cannot be opened.
    """
    if name is not None:
        space = resolve_space(name)
        return ExtractorChoice(space, f"The hub embeds audio with {space.id}, as set by features.space.")
    missing = [name for name in (NETWORK_FILE, PCA_FILE) if not (weights_dir / name).is_file()]
    if not missing:
        return ExtractorChoice(VGGISH, f"The hub embeds audio with {VGGISH.id}: its weights are in {weights_dir}.")
    return ExtractorChoice(
        EARWITNESS_SMALL,
        f"The hub embeds audio with {EARWITNESS_SMALL.id}, the included backbone. To use the larger VGGish,"
        f" {INSTALL_HINT}.",
    )


def load_extractor(space_id: str, weights_dir: Path) -> FeatureExtractor:
    """Load the extractor of a feature space.

    Args:
        space_id: id of the feature space.
        weights_dir: folder of VGGish's weights; not read for other spaces.

    Raises:
        InvalidError: the feature space has no extractor, or the weights are damaged.
        UnavailableError: the weights are missing; the message explains how to get them.
    """
    if space_id == VGGISH.id:
        return Vggish.load(weights_dir)
    if space_id == LOGMEL.id:
        return LogMel()
    return Backbone(manifest_path(space_id))
