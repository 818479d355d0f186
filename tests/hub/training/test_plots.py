"""Curves of an evaluation as a drawing."""

from pathlib import Path

import numpy as np
import pytest

from hub.training import plots
from hub.training.benchmark import Benchmark, by_chance, by_cosine
from hub.training.dataset import Dataset
from hub.training.evaluation import Evaluation, K, S, evaluate
from shared.errors import UnavailableError
from shared.feature_space import VGGISH


def evaluation(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Evaluation:
    features = np.repeat(np.repeat(labels, 16, axis=1)[:, None], 10, axis=1) * 255
    data = Dataset(VGGISH, features.astype(np.uint8), labels.astype(np.uint8), np.full(len(labels), ""))
    benchmark = Benchmark(data, data)
    return evaluate(benchmark, {"mine & yours": by_cosine(benchmark), "random": by_chance(benchmark)})


def drawn(path: Path, found: Evaluation) -> str:
    plots.retrieval(path, found.curves(), columns=len({row.queries for row in found.rows}))
    return path.read_text()


def test_curves_are_drawn_in_a_panel_per_s_and_kind_of_queries_and_named_once(tmp_path: Path) -> None:
    labels = np.eye(8, dtype=np.uint8)
    labels[0, 1] = 1
    svg = drawn(tmp_path / "new" / "figure.svg", evaluation(labels))
    assert svg.startswith("<?xml")
    for s in S:
        for kind in ("all", "single", "multi"):
            assert svg.count(f">s = {s}, {kind} queries<") == 1
    for name in ("mine &amp; yours", "random"):
        assert svg.count(f">{name}<") == 1
    assert all(svg.count(f">{k}<") == 6 for k in K if k > 1)


def test_kinds_of_which_there_are_no_queries_get_no_panel(tmp_path: Path) -> None:
    svg = drawn(tmp_path / "a.svg", evaluation(np.zeros((3, 8), dtype=np.uint8)))
    assert "s = 8, all queries" in svg
    assert "single" not in svg
    assert "multi" not in svg


def test_the_same_evaluation_is_drawn_as_the_same_file(tmp_path: Path) -> None:
    first, second = (evaluation(np.eye(8, dtype=np.uint8)) for _ in range(2))
    assert drawn(tmp_path / "a.svg", first) == drawn(tmp_path / "b.svg", second)


def test_what_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot write"):
        drawn(tmp_path / "file" / "a.svg", evaluation(np.eye(8, dtype=np.uint8)))
