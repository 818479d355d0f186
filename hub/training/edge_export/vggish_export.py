"""Write VGGish for sensors: an ONNX file with its manifest, compared with PyTorch before they take their place.

1. Read the weights that `weights fetch vggish` installed, and write the model to a temporary folder.
2. Compare its bytes with those of PyTorch for the clips of `check_clips`.
3. Move model and manifest to their place if they agree; a sensor that reads in between refuses the checksum.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import torch

from hub.features.vggish.convert import published_metadata, sha256
from hub.features.vggish.extractor import NETWORK_FILE, PCA_FILE, RATE_HZ, Vggish
from hub.training.edge_export.vggish_graph import OUTPUT, SAMPLES, vggish_model
from hub.training.onnx_graph import OPSET
from shared.audio import Waveform
from shared.backbones.manifest import BackboneManifest, write
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import VGGISH, Features
from shared.synthetic_scene import make_scene

NAME: Final = "vggish"
"""Name of both files, without `.onnx` and `.toml`."""
MAX_SHARE_OVER_ONE_STEP: Final = 0.001
"""Largest share of bytes that may differ by more than one step of 255."""

Report = Callable[[str], None]
"""Called with the step that begins."""


@dataclass(frozen=True, slots=True)
class ByteDifference:
    """How the bytes of two extractors differ.

    Attributes:
        compared: number of bytes.
        different: how many of them differ.
        over_one_step: how many of them differ by more than one step.
        max_steps: the largest difference.
    """

    compared: int
    different: int
    over_one_step: int
    max_steps: int

    @classmethod
    def between(cls, one: Features, other: Features) -> "ByteDifference":
        """Compare two arrays of one shape."""
        steps = np.abs(one.astype(int) - other)
        return cls(steps.size, int((steps > 0).sum()), int((steps > 1).sum()), int(steps.max(initial=0)))

    @property
    def acceptable(self) -> bool:
        """Return whether at most `MAX_SHARE_OVER_ONE_STEP` of the bytes differ by more than one step."""
        return self.over_one_step <= MAX_SHARE_OVER_ONE_STEP * self.compared


@dataclass(frozen=True, slots=True)
class EdgeExport:
    """What was written.

    Attributes:
        manifest: path of the manifest, which `features.space` of a sensor names.
        model: path of the ONNX file.
        model_bytes: its size.
        model_sha256: its checksum, which the manifest holds.
        metadata: properties in the ONNX file.
        difference: its bytes compared with those of PyTorch.
    """

    manifest: Path
    model: Path
    model_bytes: int
    model_sha256: str
    metadata: Mapping[str, str]
    difference: ByteDifference


def check_clips() -> dict[str, Waveform]:
    """Return the clips of the comparison by name: float32 [160000] at 16 kHz, each in [-1, 1]."""
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLES) / RATE_HZ
    tone = np.sin(2 * np.pi * 1_000 * time_s)
    clips = {
        "silence": np.zeros(SAMPLES),
        "noise at full scale": rng.uniform(-1, 1, SAMPLES),
        "faint noise": rng.uniform(-1e-4, 1e-4, SAMPLES),
        "a tone at full scale": tone,
        "a square wave at full scale": np.sign(np.sin(2 * np.pi * 100 * time_s + 0.1)),
        "a sweep of faint tones": 0.01 * np.sin(2 * np.pi * (20 + 390 * time_s) * time_s),
        "a street": make_scene(rng, RATE_HZ).waveform,
        "a loud street": np.clip(10 * make_scene(rng, RATE_HZ).waveform, -1, 1),
    }
    return {name: clip.astype(np.float32) for name, clip in clips.items()}


def export_edge(weights_dir: Path, into: Path, report: Report) -> EdgeExport:
    """Write `vggish.onnx` and `vggish.toml` for sensors, both or none.

    Args:
        weights_dir: folder with the files that `weights fetch vggish` wrote.
        into: folder to write to; created if missing.
        report: called with the step that begins.

    Raises:
        UnavailableError: the weights are missing, or the files cannot be written.
        InvalidError: the weights are damaged, or the file differs from PyTorch.
    """
    report(f"reading VGGish's weights from {weights_dir}")
    reference = Vggish.load(weights_dir, torch.float32)
    network, pca = weights_dir / NETWORK_FILE, weights_dir / PCA_FILE
    metadata = {
        "space": VGGISH.id,
        "weights_sha256": sha256(network),
        "weights_published_sha256": published_metadata(network),
        "pca_sha256": sha256(pca),
        "pca_published_sha256": published_metadata(pca),
        "software": f"earwitness-hub {version('earwitness')}",
        "opset": str(OPSET),
    }
    return write_compared(reference, reference, metadata, into, report)


def write_compared(
    source: Vggish, reference: Vggish, metadata: Mapping[str, str], into: Path, report: Report
) -> EdgeExport:
    """Write the model of `source` if its bytes are those of `reference`; see `export_edge`.

    Raises:
        UnavailableError: the files cannot be written.
        InvalidError: the file differs from `reference`; nothing is written.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=into) as folder:
            report("writing the model")
            described = _write(source, metadata, Path(folder))
            difference = _compare(reference, Backbone(Path(folder) / f"{NAME}.toml"), report)
            if not difference.acceptable:
                raise _differs(difference)
            size = (Path(folder) / described.model).stat().st_size
            for name in (described.model, f"{NAME}.toml"):
                (Path(folder) / name).replace(into / name)
    except OSError as error:
        raise UnavailableError(f"cannot write to {into}: {error.strerror or error}") from error
    model = into / described.model
    return EdgeExport(into / f"{NAME}.toml", model, size, described.sha256, metadata, difference)


def _write(source: Vggish, metadata: Mapping[str, str], folder: Path) -> BackboneManifest:
    document = vggish_model(source.network, source.pca, metadata).SerializeToString()
    described = BackboneManifest(
        id=VGGISH.id,
        model=f"{NAME}.onnx",
        sha256=hashlib.sha256(document).hexdigest(),
        rate_hz=RATE_HZ,
        window=SAMPLES,
        hop=SAMPLES,
        frames_per_window=VGGISH.frames,
        dimension=VGGISH.dimension,
        low=VGGISH.low,
        high=VGGISH.high,
        output=OUTPUT,
    )
    (folder / described.model).write_bytes(document)
    write(folder / f"{NAME}.toml", described)
    return described


def _compare(reference: Vggish, exported: Backbone, report: Report) -> ByteDifference:
    ours, theirs = [], []
    for name, clip in check_clips().items():
        report(f"comparing with PyTorch: {name}")
        ours.append(exported.extract(clip, RATE_HZ))
        theirs.append(reference.extract(clip, RATE_HZ))
    return ByteDifference.between(np.array(ours), np.array(theirs))


def _differs(difference: ByteDifference) -> InvalidError:
    return InvalidError(
        f"the exported network differs from PyTorch by more than 1 of 255 steps in {difference.over_one_step} of"
        f" {difference.compared} bytes, by up to {difference.max_steps}; at most {MAX_SHARE_OVER_ONE_STEP:.1%} may."
        f" Nothing was written. Install other versions of torch ({version('torch')}) and onnxruntime"
        f" ({version('onnxruntime')}), and run the command again"
    )
