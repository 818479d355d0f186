"""The benchmarks in small: their figures are right, whatever the machine."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hub.cli import app
from shared.feature_space import VGGISH
from tests.programs import program


def run(*arguments: str) -> dict[str, object]:
    ran = CliRunner().invoke(app, ["bench", *arguments, "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, count in (("train", 300), ("eval_dev", 60)):
        kinds = rng.integers(0, 256, (count, 1, 128)).repeat(10, axis=1).astype(np.uint8)
        np.savez(tmp_path / f"{name}.npz", embedding=kinds)
    return tmp_path


def test_score_compares_itself_with_the_literal_forward_and_the_limit(data: Path) -> None:
    found = run("score", "--data", str(data), "--events", "1500", "--queries", "3", "--repeats", "1")
    assert found["top10_agreement"] == 1.0
    assert isinstance(found["pairs_per_s"], float)
    assert isinstance(found["literal_pairs_per_s"], float)
    assert found["times_literal"] == pytest.approx(found["pairs_per_s"] / found["literal_pairs_per_s"])
    assert set(found) >= {"limit_pairs_per_s", "share_of_limit", "largest_error", "half_pairs_per_s"}


def test_search_measures_recall_memory_and_faiss_and_draws_the_curve(data: Path, tmp_path: Path) -> None:
    plot = tmp_path / "curve.svg"
    arguments = ("--data", str(data), "--events", "3000", "--queries", "16", "--repeats", "5", "--plot", str(plot))
    found = run("search", *arguments)
    assert isinstance(found["recall_at_10"], float)
    assert 0.9 <= found["recall_at_10"] <= 1.0
    assert isinstance(found["ways"], list)
    assert {way["by"] for way in found["ways"]} <= {"kind", "source", "both"}
    assert isinstance(found["curve"], list)
    assert [point["events"] for point in found["curve"]] == [3000]
    for name in ("median_ms", "p99_ms", "exact_median_ms", "faiss_flat_median_ms", "faiss_hnsw_median_ms"):
        cost = found[name]
        assert isinstance(cost, float)
        assert cost > 0
    assert "exact scan" in plot.read_text()


def test_ingest_loses_nothing_and_reports_how_long_alerts_took() -> None:
    program("mosquitto")
    program("redis-server")
    found = run("ingest", "--archive", "500", "--seconds", "3", "--rate", "50")
    assert found["lost"] == 0
    assert isinstance(found["sent"], int)
    assert 50 <= found["sent"] <= 160
    assert found["alerts"] in range(1, found["sent"] + 1), "one for a sound event, not for a clip"
    assert isinstance(found["p95_alert_s"], float)
    assert found["p95_alert_s"] > 0
    assert isinstance(found["bare_paho_per_s"], float)
    assert found["bare_paho_per_s"] > 0


def test_a_start_from_the_snapshot_and_from_the_store_are_both_measured() -> None:
    program("mosquitto")
    program("redis-server")
    found = run("startup", "--events", "1000")
    assert found["events"] == 1000
    for name in ("from_store_s", "from_snapshot_s", "snapshot_bytes_per_event", "fill_events_per_s"):
        figure = found[name]
        assert isinstance(figure, float)
        assert figure > 0


def test_vggish_is_measured_by_precision_and_batch() -> None:
    ran = CliRunner().invoke(app, ["bench", "vggish", "--clips", "1", "--clips", "2", "--repeats", "1", "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert [row["clips"] for row in found[:2]] == [1, 2]
    assert found[0]["times_reference"] == 1.0


@pytest.mark.parametrize("command", ["score", "search"])
def test_data_that_is_missing_or_of_another_shape_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    ran = CliRunner().invoke(app, ["bench", command, "--data", str(tmp_path / "none")])
    assert ran.exit_code == 1
    assert "cannot read embeddings" in ran.output
    for name in ("train", "eval_dev"):
        np.savez(tmp_path / f"{name}.npz", embedding=np.zeros((5, 3, 128), np.uint8))
    ran = CliRunner().invoke(app, ["bench", command, "--data", str(tmp_path)])
    assert ran.exit_code == 2
    assert VGGISH.id in ran.output


def test_too_few_events_for_an_alert_are_refused_in_one_line() -> None:
    program("mosquitto")
    program("redis-server")
    ran = CliRunner().invoke(app, ["bench", "web", "--events", "1000", "--json"])
    assert ran.exit_code == 2
    assert "no alert among 1000 events: ask for more" in ran.output
