"""What a feature space costs."""

from pathlib import Path

import numpy as np

from shared.backbones.benchmark import measure, peak_mb
from shared.backbones.onnx_backbone import Backbone
from tests.backbone_factory import write_backbone


def test_a_measurement_names_the_space_and_orders_its_times(tmp_path: Path) -> None:
    cost = measure(Backbone(write_backbone(tmp_path)), repeats=3)
    assert cost.space == "mine-u8/1"
    assert 0 < cost.ms_per_clip <= cost.slowest_ms < 60_000
    assert 20 < cost.memory_mb <= peak_mb()


def test_memory_once_had_is_not_forgotten() -> None:
    before = peak_mb()
    block = np.ones(round((before + 50) * 1e6), dtype=np.uint8)
    assert block.any()
    del block
    assert peak_mb() >= before + 20
