"""Which feature space serves clips of sound, and the extractor for it."""

from dataclasses import dataclass
from pathlib import Path

from hub.audio.extractor import Extractor
from hub.audio.logmel import LogMel
from hub.audio.vggish import HOW_TO_GET, NETWORK_FILE, PCA_FILE, Vggish
from shared.errors import Invalid
from shared.space import LOGMEL, VGGISH, FeatureSpace


@dataclass(frozen=True, slots=True)
class Choice:
    """The feature space for sound.

    Attributes:
        space: what clips are turned into.
        reason: one sentence for the log and for `check`.
    """

    space: FeatureSpace
    reason: str


def choose_space(weights_dir: Path) -> Choice:
    """VGGish if its weights are there, else log-mel.

    Args:
        weights_dir: where `fetch-vggish` puts the weights.
    """
    missing = [name for name in (NETWORK_FILE, PCA_FILE) if not (weights_dir / name).is_file()]
    if not missing:
        return Choice(VGGISH, f"Sound becomes {VGGISH.id}: VGGish's weights are in {weights_dir}.")
    return Choice(
        LOGMEL,
        f"Sound becomes {LOGMEL.id}, which retrieves less well than VGGish: {' and '.join(missing)}"
        f" not found in {weights_dir}. To use VGGish, {HOW_TO_GET}.",
    )


def extractor_for(space_id: str, weights_dir: Path) -> Extractor:
    """The extractor of a feature space.

    Args:
        space_id: id of the feature space.
        weights_dir: where VGGish's weights are; not read for log-mel.

    Raises:
        Invalid: no extractor for this feature space, or damaged weights.
        Unavailable: VGGish's weights are not there; says how to get them.
    """
    if space_id == VGGISH.id:
        return Vggish.load(weights_dir)
    if space_id == LOGMEL.id:
        return LogMel()
    raise Invalid(f"no extractor for feature space {space_id!r}; known: {VGGISH.id}, {LOGMEL.id}")
