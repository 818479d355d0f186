from dataclasses import replace

import pytest
import torch

from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.runtime.int8_products import bytes_multiply
from hub.search.scoring.fused_taggers import TOLERANCE, FusedTaggers

ONE = TaggedConfig(10, 128, trunk=(16, 12), fine=9, profile=5)


@pytest.mark.parametrize(
    "config",
    [ONE, replace(ONE, members=3), replace(ONE, context=False), replace(ONE, trunk=(8,), fine=0, profile=0)],
)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.float32, 1e-5),
        (torch.bfloat16, TOLERANCE),
        pytest.param(
            torch.uint8,
            TOLERANCE,
            marks=pytest.mark.skipif(not bytes_multiply(), reason="this processor multiplies no bytes"),
        ),
    ],
)
def test_towers_are_the_network_s_own(config: TaggedConfig, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(1)
    network = TaggingEnsemble(config)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn_like(value))
        network.projection.normal_()
        network.shift.fill_(0.5)
        for _ in range(20):  # statistics as after training
            network.tower(2.0 * torch.randn(32, 10, 128) + 0.5)
    features = 2.0 * torch.randn(7, 10, 128) + 0.5
    with torch.inference_mode():
        expected = network.eval().tower(features)
        towers = FusedTaggers(network, dtype)(features)
    assert towers.dtype == torch.float32
    torch.testing.assert_close(towers, expected, atol=tolerance, rtol=0.0)


def test_no_clips_have_no_towers() -> None:
    network = TaggingEnsemble(ONE).eval()
    with torch.inference_mode():
        assert FusedTaggers(network)(torch.empty(0, 10, 128)).shape == (0, 1, 13)
