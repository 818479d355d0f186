"""Feature spaces that are an ONNX file and its description: ours, and those you bring along.

| file | what it is |
|---|---|
| `description` | the description: what the file wants and gives |
| `backbone` | the extractor that runs it |
| `runtime` | ONNX Runtime, its telemetry off |
| `earwitness-small.toml`, `.onnx`, `.md` | the backbone that ships, and its model card |
"""

from pathlib import Path
from typing import Final

from shared.backbones.manifest import BackboneManifest, read
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, SHORT_NAMES, SPACES, FeatureSpace, register_space
from shared.paths import expanded

SMALL_FILE: Final = Path(__file__).parent / "earwitness-small.toml"
"""Description of the backbone that ships."""

_brought = {EARWITNESS_SMALL.id: SMALL_FILE}


def register_backbone(path: Path) -> BackboneManifest:
    """Make a feature space known by its description, for the whole program; the same file again changes nothing.

    Raises:
        Unavailable: the description cannot be opened.
        Invalid: it is not understood, or another feature space has its id.
    """
    description = read(path)
    register_space(description.space)
    _brought[description.id] = path
    return description


def resolve_space(name: str) -> FeatureSpace:
    """A feature space by its short name, its id, or the path of its description, which makes it known.

    Raises:
        Invalid: none of these, or a description that is not understood.
        Unavailable: the description cannot be opened.
    """
    space_id = SHORT_NAMES.get(name, name)
    if space_id in SPACES:
        return SPACES[space_id]
    if not name.endswith(".toml"):
        raise InvalidError(
            f"unknown feature space {name!r}; write {', '.join(SHORT_NAMES)}, or the path of a description"
        )
    return register_backbone(expanded(Path(name))).space


def resolve_manifest(name: str) -> Path:
    """The description that a name stands for, made known to the program.

    Args:
        name: as `space_named` takes it.

    Raises:
        Unavailable: the description cannot be opened.
        Invalid: another name, a feature space that is no backbone, or a description that is not understood.
    """
    return manifest_path(resolve_space(name).id)


def manifest_path(space_id: str) -> Path:
    """Where the description of a feature space is.

    Raises:
        Invalid: none of this id is known.
    """
    try:
        return _brought[space_id]
    except KeyError:
        raise InvalidError(f"feature space {space_id!r} is no backbone that was described") from None
