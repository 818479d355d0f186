from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hub.model.checkpoint import Checkpoint, baseline_checkpoint, default_checkpoint, load
from hub.search.backend import Filter, IndexEntry, Query
from hub.search.memory.index import MemoryIndex
from hub.search.memory.persistence import IndexSnapshot
from hub.search.scoring.scorer import Scorer
from shared.errors import UnavailableError
from shared.feature_space import VGGISH
from tests.identities import identified

MODELS: dict[str, Callable[[], Checkpoint]] = {
    "tagged": lambda: replace(load(default_checkpoint(VGGISH.id)), identity=None),
    "tagged with identity": lambda: identified(load(default_checkpoint(VGGISH.id))),
    "paper's with identity": lambda: identified(load(baseline_checkpoint(VGGISH.id, "paper"))),
}


@pytest.fixture(scope="module", params=MODELS)
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return Scorer(MODELS[request.param]())


def filled(scorer: Scorer, count: int, first: int = 0) -> MemoryIndex:
    index = MemoryIndex(scorer)
    add(index, count, first)
    return index


def add(index: MemoryIndex, count: int, first: int = 0) -> None:
    features = np.random.default_rng(first).integers(0, 256, (count, *VGGISH.shape), dtype=np.uint8)
    presence = (0.9, *(0.0,) * 7)
    entries = [IndexEntry(f"s.b.{first + n}", f"demo/s{n % 3}", 1_000 * n, -40.0 + n, presence) for n in range(count)]
    index.add(entries, index.scorer.embed(features))


def answers(index: MemoryIndex, scorer: Scorer) -> list[tuple[str, str, int, float]]:
    features = np.random.default_rng(9).integers(0, 256, (1, *VGGISH.shape), dtype=np.uint8)
    wanted = Filter(min_laeq=-20.0, categories=frozenset({0}), since_ms=2_000)
    queries = [Query(scorer.embed(features)[0], 50, filter=wanted, by=by) for by in scorer.identities.ways]
    found = [match for matches in index.search(queries) for match in matches]
    return [(m.event, m.place, m.captured_ms, round(m.rank, 4)) for m in found]


def test_an_index_from_its_snapshot_answers_as_before(tmp_path: Path, scorer: Scorer) -> None:
    index = filled(scorer, 100)
    assert IndexSnapshot(tmp_path, index).save() == 1
    again = MemoryIndex(scorer)
    reported: list[tuple[int, int]] = []
    assert IndexSnapshot(tmp_path, again).load(lambda done, of: reported.append((done, of))) == 100
    assert reported == [(1, 1)]
    assert answers(again, scorer) == answers(index, scorer)
    assert len(answers(index, scorer)) == 50 * len(scorer.identities.ways)
    for (chunk, count), (own, _) in zip(again.chunks().values(), index.chunks().values(), strict=True):
        for part, theirs in zip(chunk.sketches, own.sketches, strict=True):
            assert torch.equal(part[:count], theirs[:count])


def test_a_snapshot_without_these_sketches_has_them_made_again(tmp_path: Path, scorer: Scorer) -> None:
    """As of an earlier program, or of another processor."""
    snapshots = IndexSnapshot(tmp_path, index := filled(scorer, 100))
    snapshots.save()
    (path,) = snapshots.folder.glob("chunk-*")
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    old = {name: tensor for name, tensor in tensors.items() if not name.startswith("sketch")}
    other = {name: torch.zeros(100, 3, dtype=torch.float64) for name in tensors if name.startswith("sketch")}
    for changed in (old | {"sketches": torch.zeros(100, 64)}, old | other):
        save_file(changed, path, metadata=metadata)
        again = MemoryIndex(scorer)
        assert IndexSnapshot(tmp_path, again).load() == 100
        assert answers(again, scorer) == answers(index, scorer)
        sketches = next(iter(again.chunks().values()))[0].sketches
        for part, theirs in zip(sketches, next(iter(index.chunks().values()))[0].sketches, strict=True):
            assert (part[:100].float() - theirs[:100].float()).abs().max() <= 1.0


def test_only_what_grew_is_written_and_a_loaded_index_grows_on(tmp_path: Path, scorer: Scorer) -> None:
    snapshots = IndexSnapshot(tmp_path, index := filled(scorer, 10))
    assert [snapshots.save(), snapshots.save()] == [1, 0]
    add(index, 5, first=10)
    assert snapshots.save() == 1
    again = MemoryIndex(scorer)
    later = IndexSnapshot(tmp_path, again)
    later.load()
    assert later.save() == 0
    add(again, 5, first=15)
    assert later.save() == 1
    third = MemoryIndex(scorer)
    assert IndexSnapshot(tmp_path, third).load() == 20
    assert {event for page in third.ids() for event in page} == {f"s.b.{n}" for n in range(20)}


def test_removed_events_stay_removed_and_a_chunk_that_went_takes_its_file_along(
    tmp_path: Path, scorer: Scorer
) -> None:
    snapshots = IndexSnapshot(tmp_path, index := filled(scorer, 1_500))
    snapshots.save()
    index.remove([f"s.b.{n}" for n in range(1_400)])
    snapshots.save()
    assert len(list(snapshots.folder.glob("chunk-*"))) == 1
    again = MemoryIndex(scorer)
    assert IndexSnapshot(tmp_path, again).load() == 100


@pytest.mark.parametrize("keep", [0, 10, 1_000])
def test_a_damaged_file_is_left_out_and_the_rest_loaded(tmp_path: Path, scorer: Scorer, keep: int) -> None:
    snapshots = IndexSnapshot(tmp_path, filled(scorer, 10))
    snapshots.save()
    whole = next(snapshots.folder.glob("chunk-*"))
    (snapshots.folder / "chunk-7.safetensors").write_bytes(whole.read_bytes()[:keep])
    again = MemoryIndex(scorer)
    assert IndexSnapshot(tmp_path, again).load() == 10


def test_a_snapshot_of_another_network_is_not_used(tmp_path: Path, scorer: Scorer) -> None:
    IndexSnapshot(tmp_path, filled(scorer, 10)).save()
    other = MemoryIndex(Scorer(load(baseline_checkpoint(VGGISH.id, "paper"))))
    assert IndexSnapshot(tmp_path, other).load() == 0


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path, scorer: Scorer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="snapshot"):
        IndexSnapshot(tmp_path / "file", filled(scorer, 1)).save()


def test_removed_events_are_not_in_files_that_are_written_later(tmp_path: Path, scorer: Scorer) -> None:
    index = filled(scorer, 30)
    index.remove([f"s.b.{number}" for number in range(0, 30, 3)])  # all of demo/s0
    snapshots = IndexSnapshot(tmp_path, index)
    snapshots.save()
    (path,) = snapshots.folder.glob("chunk-*")
    data = path.read_bytes()
    assert b"demo/s0" not in data
    with safe_open(path, framework="pt") as file:
        names = file.get_tensor("events").numpy().tobytes().decode().split("\n")
        assert not file.get_tensor("towers")[::3].any()
    assert [name for name in names if name.startswith("s.b.")] == [f"s.b.{n}" for n in range(30) if n % 3]
    again = MemoryIndex(scorer)
    assert IndexSnapshot(tmp_path, again).load() == 20
    assert answers(again, scorer) == answers(index, scorer)
