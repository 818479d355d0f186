"""Backbones: feature spaces computed by an ONNX file with a manifest, the shipped one and your own.

| file | content |
|---|---|
| `manifest` | the manifest: input and output of the ONNX file |
| `onnx_backbone` | the extractor that runs the ONNX file |
| `benchmark` | the cost of an extractor |
| `runtime` | ONNX Runtime, its telemetry off |
| `earwitness-small.toml`, `.onnx`, `.md` | the backbone that ships, and its model card |
"""

from pathlib import Path
from typing import Final

from shared.backbones.manifest import BackboneManifest, read
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, SHORT_NAMES, SPACES, VGGISH, FeatureSpace, register_space
from shared.paths import expanded

SMALL_FILE: Final = Path(__file__).parent / "earwitness-small.toml"
"""Manifest of the backbone that ships."""

_brought = {EARWITNESS_SMALL.id: SMALL_FILE}


def register_backbone(path: Path) -> BackboneManifest:
    """Register the feature space of a manifest for the whole program; the same file again changes nothing.

    Raises:
        UnavailableError: the manifest cannot be opened.
        InvalidError: the manifest is invalid, or another feature space has its id.
    """
    description = read(path)
    register_space(description.space)
    _brought[description.id] = path
    return description


def resolve_space(name: str) -> FeatureSpace:
    """Return a feature space by its short name, its id, or the path of its manifest, which is then registered.

    Raises:
        InvalidError: the name is none of these, or the manifest is invalid.
        UnavailableError: the manifest cannot be opened.
    """
    space_id = SHORT_NAMES.get(name, name)
    if space_id in SPACES:
        return SPACES[space_id]
    if not name.endswith(".toml"):
        raise InvalidError(
            f"unknown feature space {name!r}; write {', '.join(SHORT_NAMES)}, or the path of a manifest (.toml)"
        )
    return register_backbone(expanded(Path(name))).space


def resolve_manifest(name: str) -> Path:
    """Return the path of the manifest that a name identifies, and register its feature space.

    Args:
        name: name as for `resolve_space`.

    Raises:
        UnavailableError: the manifest cannot be opened.
        InvalidError: an unknown name, a feature space without a backbone, or an invalid manifest.
    """
    return manifest_path(resolve_space(name).id)


def manifest_path(space_id: str) -> Path:
    """Return the path of the manifest of a feature space.

    Raises:
        InvalidError: no backbone with this id is registered.
    """
    try:
        return _brought[space_id]
    except KeyError:
        way = (
            "write it with `earwitness-hub export-edge`, then name the manifest (.toml)"
            if space_id == VGGISH.id
            else "register one by its manifest"
        )
        raise InvalidError(f"feature space {space_id!r} has no backbone: {way}") from None
