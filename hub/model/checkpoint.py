"""Checkpoints: one safetensors file that carries its weights and everything needed to trust them.

The metadata holds one JSON document: format, network configuration, feature space, taxonomy and training
record. Loading verifies all of it, so that a file is never used on features it was not trained for.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hub.model.calibration import Calibration
from hub.model.identity import Identity
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.model.sketch import SketchConfig, SketchNetwork
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import SHORT_NAMES, FeatureSpace, get_space
from shared.taxonomy import CATEGORIES, TAXONOMY_ID

Network = SiameseNetwork | TaggingEnsemble
FORMATS: Final = {
    "earwitness-siamese/1": (NetworkConfig, SiameseNetwork),
    "earwitness-tagged/2": (TaggedConfig, TaggingEnsemble),
}
"""Kinds of networks that a checkpoint may hold."""
_KEY: Final = "earwitness"
_SKETCH, _IDENTITY = "sketch.", "identity."
_WEIGHTS: Final = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network with its feature space, record and calibration.

    Attributes:
        network: in eval mode.
        space: the feature space it was trained on.
        record: training record and card facts: data, command, seed, epochs, measured quality (JSON values).
        calibration: curves from its scores to probabilities; None: not measured.
        sketch: sketch network of a Siamese network, for the first stage of a search; in eval mode. None: not trained.
        identity: network that distinguishes sources of one kind. None: not trained.

    Raises:
        InvalidError: the network's input is not of that space.
    """

    network: Network
    space: FeatureSpace
    record: Mapping[str, Any]
    calibration: Calibration | None = None
    sketch: SketchNetwork | None = None
    identity: Identity | None = None

    def __post_init__(self) -> None:
        config = self.network.config
        if (config.frames, config.dimension) != self.space.shape:
            raise InvalidError(
                f"a network for {config.frames} x {config.dimension} features cannot serve {self.space.id}"
            )
        own = self.identity and self.identity.network.config
        if own and (own.frames, own.dimension) != self.space.shape:
            raise InvalidError(f"an identity of {own.frames} x {own.dimension} features cannot serve {self.space.id}")


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, replacing an older file of that name.

    The matrices of a tagged network, whose members make it large, are rounded to float16: its tags are means
    over many units, and change by a few ten-thousandths.

    Raises:
        UnavailableError: the file cannot be written.
    """
    document = {
        "format": next(name for name, (_, kind) in FORMATS.items() if isinstance(checkpoint.network, kind)),
        "network": asdict(checkpoint.network.config),
        "space": asdict(checkpoint.space),
        "taxonomy": {"id": TAXONOMY_ID, "categories": list(CATEGORIES)},
        "record": dict(checkpoint.record),
    }
    if checkpoint.calibration is not None:
        document["calibration"] = checkpoint.calibration.document()
    halved = isinstance(checkpoint.network, TaggingEnsemble)
    tensors = {
        name: (value.half() if halved and value.ndim == 2 else value).contiguous()
        for name, value in checkpoint.network.state_dict().items()
    }
    if checkpoint.sketch is not None:
        document["sketch"] = asdict(checkpoint.sketch.config)
        tensors |= _prefixed(_SKETCH, checkpoint.sketch)
    if checkpoint.identity is not None:
        document["identity"] = checkpoint.identity.document()
        tensors |= _prefixed(_IDENTITY, checkpoint.identity.network)
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata={_KEY: json.dumps(document, sort_keys=True)})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise UnavailableError(f"cannot write {path}: {error}") from error


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and verify it.

    Returns:
        The checkpoint, its network in eval mode, gradients off.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: not a checkpoint of this format, another feature space or taxonomy than this build's,
            tensors missing, superfluous, of another shape or not finite.
    """
    try:
        with path.open("rb"):
            pass
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except OSError as error:
        raise UnavailableError(f"cannot open checkpoint {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InvalidError(f"{path} is not a safetensors file: {error}") from error
    try:
        return _checked(metadata, tensors)
    except InvalidError as error:
        raise InvalidError(f"checkpoint {path}: {error}") from error


def baseline_checkpoint(space_id: str, name: str) -> Path:
    """Return the path of a committed network to compare with: `paper` (the paper's) or `tagger` (tags alone).

    Raises:
        InvalidError: none of this name for this feature space.
    """
    short = next((short for short, known in SHORT_NAMES.items() if known == space_id), space_id)
    path = _WEIGHTS / "baselines" / f"{short}-{name}.safetensors"
    if not path.is_file():
        raise InvalidError(f"no baseline {name!r} is shipped for feature space {space_id!r}")
    return path


def default_checkpoint(space_id: str) -> Path:
    """Return the path of the checkpoint for a feature space, within the package.

    Raises:
        InvalidError: no checkpoint is shipped for this feature space.
    """
    for name, known in SHORT_NAMES.items():
        if known == space_id:
            return _WEIGHTS / f"{name}.safetensors"
    raise InvalidError(f"no checkpoint is shipped for feature space {space_id!r}; known: {sorted(SPACE_IDS)}")


SPACE_IDS: Final = frozenset(SHORT_NAMES.values())


def _checked(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> Checkpoint:
    document = _document(metadata)
    space = _space(document["space"])
    taxonomy = {"id": TAXONOMY_ID, "categories": list(CATEGORIES)}
    if document["taxonomy"] != taxonomy:
        raise InvalidError(f"trained for taxonomy {document['taxonomy']}, this build has {taxonomy}")
    network = _network(document["format"], document["network"])
    sketch = _sketch(document.get("sketch"), network)
    identity = None if document.get("identity") is None else Identity.of(document["identity"])
    parts: dict[str, nn.Module] = {"": network}
    if sketch is not None:
        parts[_SKETCH] = sketch
    if identity is not None:
        parts[_IDENTITY] = identity.network
    expected = {name: value for prefix, part in parts.items() for name, value in _prefixed(prefix, part).items()}
    if missing := sorted(set(expected) - set(tensors)):
        raise InvalidError(f"tensors are missing: {', '.join(missing)}")
    if extra := sorted(set(tensors) - set(expected)):
        raise InvalidError(f"unknown tensors: {', '.join(extra)}")
    tensors = {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        want = expected[name]
        if tensor.shape != want.shape or tensor.dtype != want.dtype:
            raise InvalidError(
                f"tensor {name} is {tensor.dtype} {list(tensor.shape)}, not {want.dtype} {list(want.shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise InvalidError(f"tensor {name} holds values that are not finite")
    for prefix, part in parts.items():
        part.load_state_dict({name: tensors[f"{prefix}{name}"] for name in part.state_dict()})
        part.requires_grad_(False).eval()
    stated = document.get("calibration")
    calibration = None if stated is None else Calibration.of(stated)
    return Checkpoint(network, space, document["record"], calibration, sketch, identity)


def _prefixed(prefix: str, part: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in part.state_dict().items()}


def _document(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        document = json.loads(metadata[_KEY])
    except KeyError:
        raise InvalidError("it carries no Earwitness metadata") from None
    except json.JSONDecodeError as error:
        raise InvalidError(f"its metadata is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") not in FORMATS:
        raise InvalidError(f"its format is none of {', '.join(FORMATS)}")
    for field in ("network", "space", "taxonomy", "record"):
        if not isinstance(document.get(field), dict):
            raise InvalidError(f"its metadata has no {field!r}")
    return document


def _space(stated: Mapping[str, Any]) -> FeatureSpace:
    known = get_space(str(stated.get("id")))
    if asdict(known) != dict(stated):
        raise InvalidError(f"feature space {known.id} is {asdict(known)}, but the file states {dict(stated)}")
    return known


def _network(kind: str, stated: Mapping[str, Any]) -> Network:
    config, network = FORMATS[kind]
    try:
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in stated.items()}
        return cast("Network", network(config(**values)))
    except TypeError as error:
        raise InvalidError(f"its network configuration is not understood: {error}") from error


def _sketch(stated: Mapping[str, Any] | None, network: Network) -> SketchNetwork | None:
    if stated is None:
        return None
    try:
        config = SketchConfig(**stated)
    except TypeError as error:
        raise InvalidError(f"its sketch's configuration is not understood: {error}") from error
    wanted = (network.config.steps, network.config.width)
    if (config.steps, config.width) != wanted:
        raise InvalidError(
            f"a sketch of {config.steps} x {config.width} cannot serve towers of {wanted[0]} x {wanted[1]}"
        )
    return SketchNetwork(config)
