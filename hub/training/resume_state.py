"""The state of a training that was interrupted: one file, replaced after each epoch.

It needs no state of random generators: each epoch begins with its own seed.
"""

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch

from hub.training.dataset import Dataset
from shared.errors import InvalidError, UnavailableError

FORMAT: Final = "earwitness-training/1"


@dataclass(frozen=True, slots=True)
class ResumeState:
    """The state after an epoch.

    Attributes:
        network: the network's tensors by name.
        optimiser: the optimiser's state as torch gives it.
        history: what each epoch gave, as plain values.
        average: average of the network's tensors over epochs, if it is kept.
    """

    network: dict[str, Any]
    optimiser: dict[str, Any]
    history: list[dict[str, Any]]
    average: dict[str, Any] = field(default_factory=dict)


def fingerprint(data: Dataset, settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that fixes a training: clips, versions, labels, groups, settings (JSON)."""
    facts = [FORMAT, data.space.id, list(data.features.shape), data.groups.tolist(), dict(settings)]
    digest = sha256(json.dumps(facts, sort_keys=True).encode())
    for array in (data.features, data.labels, data.fine, data.versions):
        if array is not None:
            digest.update(array.tobytes())
    return digest.hexdigest()


def write(path: Path, run: str, state: ResumeState) -> None:
    """Replace the state file; a reader sees the old one or the new one.

    Args:
        path: the file.
        run: `fingerprint` of the training.
        state: what is known.

    Raises:
        UnavailableError: the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"format": FORMAT, "run": run, **asdict(state)}, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise UnavailableError(f"cannot write {path}: {error}") from error


def read(path: Path, run: str) -> ResumeState | None:
    """Read a state file without executing anything in it.

    Args:
        path: the file.
        run: `fingerprint` of the training that wants to go on.

    Returns:
        The state, or None if there is no such file.

    Raises:
        UnavailableError: the file is there but cannot be opened.
        InvalidError: not a state file, or of another training.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"cannot open training state {path}: {error.strerror or error}") from error
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise InvalidError(f"{path} is not a training state, or damaged") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InvalidError(f"{path} is not a training state of format {FORMAT}")
    if found["run"] != run:
        raise InvalidError(f"{path} is of a training with other data, network or plan; remove it to start again")
    return ResumeState(found["network"], found["optimiser"], found["history"], found["average"])
