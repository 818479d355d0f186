"""Cost of feature extraction per feature space, each measured in a separate process on one thread.

VGGish runs with random weights, which cost the same as the published ones.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict

from shared.backbones import resolve_manifest
from shared.backbones.benchmark import EmbeddingCost, measure
from shared.backbones.onnx_backbone import Backbone
from shared.command_line import to_json
from shared.errors import UnavailableError
from shared.extractor import FeatureExtractor
from shared.feature_space import LOGMEL, VGGISH

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def costs(names: list[str], repeats: int) -> list[EmbeddingCost]:
    """Measure feature spaces, each in a fresh process.

    Args:
        names: `logmel`, `earwitness-small`, `vggish`, or paths of descriptions.
        repeats: clips per feature space.

    Raises:
        UnavailableError: a measurement failed.
    """
    found = []
    for name in names:
        done = subprocess.run(  # noqa: S603 - our own module, our own arguments
            [sys.executable, "-m", __spec__.name, name, str(repeats)],
            env=os.environ | ONE_THREAD,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UnavailableError(f"measuring {name} failed: {done.stderr.strip().splitlines()[-1:]}")
        found.append(EmbeddingCost(**json.loads(done.stdout)))
    return found


def _extractor(name: str) -> FeatureExtractor:
    # Imported here, so that the memory of one is not that of all.
    if name in {"logmel", LOGMEL.id}:
        from hub.features.logmel import LogMel  # noqa: PLC0415

        return LogMel()
    if name in {"vggish", VGGISH.id}:
        import numpy as np  # noqa: PLC0415
        import torch  # noqa: PLC0415

        from hub.features.vggish.extractor import WIDTH, Pca, Vggish, VggishNetwork  # noqa: PLC0415

        return Vggish(VggishNetwork(), Pca(np.eye(WIDTH), np.zeros(WIDTH)), torch.float32)
    return Backbone(resolve_manifest(name))


def main() -> None:
    """Measure one feature space in this process and print the cost as JSON."""
    sys.stdout.write(to_json(asdict(measure(_extractor(sys.argv[1]), int(sys.argv[2])))))


if __name__ == "__main__":
    main()
