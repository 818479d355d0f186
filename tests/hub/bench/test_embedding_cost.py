"""`earwitness-hub bench embedding`, run for real."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.bench.embedding_cost import costs
from hub.cli import app
from shared.errors import UnavailableError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL
from tests.backbone_factory import write_backbone


def test_each_feature_space_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    logmel, small, mine = costs(["logmel", "earwitness-small", str(write_backbone(tmp_path))], repeats=2)
    assert [cost.space for cost in (logmel, small, mine)] == [LOGMEL.id, EARWITNESS_SMALL.id, "mine-u8/1"]
    assert all(0 < cost.ms_per_clip <= cost.slowest_ms for cost in (logmel, small, mine))
    assert mine.memory_mb < small.memory_mb + 20 < logmel.memory_mb, "only log-mel loads torch"


def test_what_cannot_be_measured_states_why() -> None:
    with pytest.raises(UnavailableError, match=r"measuring nonsense failed: .*unknown feature space"):
        costs(["nonsense"], repeats=1)


def test_the_command_prints_json_or_a_table() -> None:
    runner = CliRunner(env={"COLUMNS": "100"})
    reported = json.loads(
        runner.invoke(app, ["bench", "embedding", "earwitness-small", "--repeats", "1", "--json"]).stdout
    )
    assert [sorted(cost) for cost in reported] == [["memory_mb", "ms_per_clip", "slowest_ms", "space"]]
    table = runner.invoke(app, ["bench", "embedding", "earwitness-small", "--repeats", "1"])
    assert table.exit_code == 0
    assert EARWITNESS_SMALL.id in table.stdout
    assert runner.invoke(app, ["bench", "embedding", "nonsense"]).exit_code == 1
