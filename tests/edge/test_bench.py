"""The benchmark of a sensor, in processes of their own."""

import pytest

from edge.bench import measure_cost, run_process
from shared.errors import UnavailableError
from shared.feature_space import EARWITNESS_SMALL


def test_each_mode_needs_neither_torch_nor_scipy() -> None:
    for mode in ("clip", "embedding", "levels"):
        found = run_process(mode, EARWITNESS_SMALL.id, 1)
        assert found["forbidden"] == []
        assert found["realtime_factor"] > 1
        assert 20 < found["peak_mb"] < 400


def test_a_benchmark_that_fails_states_why() -> None:
    with pytest.raises(UnavailableError, match="embedding"):
        measure_cost("no-such-space", 1)
