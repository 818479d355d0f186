"""Clips cut in two: sound before it is embedded, embeddings by their frames."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hub.features.logmel import LogMel
from hub.training.dataset import Dataset
from hub.training.datasets import DatasetReader, audioset
from hub.training.datasets.feature_file import save_features
from hub.training.datasets.halves import FIRST, SECOND, half_of_features, half_of_sound
from shared.errors import InvalidError
from shared.feature_space import LOGMEL, VGGISH, FeatureSpace
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES


def data(frames: int, count: int = 3) -> Dataset:
    space = FeatureSpace(f"frames-{frames}/1", frames=frames, dimension=2, low=-1.0, high=1.0)
    features = np.arange(count * frames * 2).reshape(count, frames, 2).astype(np.uint8)
    return Dataset(space, features, np.zeros((count, 8), np.uint8), np.full(count, ""))


def test_the_halves_of_an_embedding_are_its_first_and_last_five_frames_twice() -> None:
    whole = data(10)
    for half, frames in ((FIRST, range(5)), (SECOND, range(5, 10))):
        np.testing.assert_array_equal(half_of_features(whole, half).features, whole.features[:, [*frames, *frames]])


@given(st.integers(2, 25))
def test_halves_have_no_frame_in_common_and_are_as_long_as_a_clip(frames: int) -> None:
    whole = data(frames)
    first, second = (half_of_features(whole, half) for half in (FIRST, SECOND))
    for made in (first, second):
        assert made.features.shape == whole.features.shape
        assert made.space == whole.space
    for clip in range(len(whole)):
        one, other = ({tuple(frame) for frame in made.features[clip].tolist()} for made in (first, second))
        assert not one & other
        assert len(one) == len(other) == frames // 2


def test_what_has_one_frame_or_one_sample_cannot_be_cut() -> None:
    with pytest.raises(InvalidError, match="one frame only"):
        half_of_features(data(1), FIRST)
    with pytest.raises(InvalidError, match="one sample"):
        half_of_sound(np.zeros(1, np.float32), 8_000, FIRST)


@given(st.integers(2, 300), st.sampled_from([10, 20]))
def test_halves_of_sound_are_of_its_first_ten_seconds(samples: int, rate_hz: int) -> None:
    waveform = np.arange(samples, dtype=np.float32)
    first, second = (half_of_sound(waveform, rate_hz, half) for half in (FIRST, SECOND))
    clip = min(samples, 10 * rate_hz)
    assert first.tolist() == list(range(clip // 2))
    assert second.tolist() == list(range(clip - clip // 2, clip))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(3)
    rows = [",".join(["clip", "sensor_id", "source", *CATEGORIES])]
    for number in range(4):
        scene = make_scene(rng, 8_000, 6.0)
        soundfile.write(folder / f"{number}.wav", scene.waveform, 8_000)
        marks = ",".join(str(int(name in scene.labels)) for name in CATEGORIES)
        rows.append(f"{number}.wav,{number},{('saw', ' saw ', '', 'dog')[number]},{marks}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_both_halves_of_a_recording_are_embedded_and_kept_beside_the_whole(recordings: Path, tmp_path: Path) -> None:
    ticks: list[int] = []
    reader = DatasetReader(LOGMEL.id, cache=tmp_path, tick=lambda: ticks.append(1))
    whole = reader.training_set(recordings)
    found = reader.halves(recordings, ())
    assert len(ticks) == 3 * 4
    assert len(list(tmp_path.rglob("*.npy"))) == 3 * 4
    assert found.other is not None
    assert found.other.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.queries.labels, whole.labels)
    waveform, rate_hz = soundfile.read(recordings / "2.wav", dtype="float32")
    middle = len(waveform) // 2
    for received, half in ((found.queries, waveform[:middle]), (found.database, waveform[middle:])):
        np.testing.assert_array_equal(received.features[2], LogMel().extract(half, rate_hz))
    again = reader.halves(recordings, ())
    np.testing.assert_array_equal(again.queries.features, found.queries.features)
    np.testing.assert_array_equal(reader.training_set(recordings).features, whole.features)


def test_halves_of_some_sensors_are_searched_for_among_their_own(recordings: Path) -> None:
    found = DatasetReader(LOGMEL.id).halves(recordings, ("sensor-1", "sensor-3", "fold-5"))
    assert found.queries.groups.tolist() == found.database.groups.tolist() == ["sensor-1", "sensor-3"]
    with pytest.raises(InvalidError, match="sensor-9"):
        DatasetReader(LOGMEL.id).halves(recordings, ("sensor-9",))


def test_embeddings_are_cut_whichever_file_they_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    embedding = rng.integers(0, 256, (6, 10, 128), dtype=np.uint8)
    coarse = np.eye(8, dtype=np.uint8)[:6]
    made, benchmark = tmp_path / "made", tmp_path / "benchmark"
    save_features(made, Dataset(VGGISH, embedding, coarse, np.full(6, "")))
    benchmark.mkdir()
    for name in ("train", "eval_dev"):
        fine = np.zeros((6, 66), dtype=np.uint8)
        np.savez(benchmark / f"{name}.npz", embedding=embedding, coarse=coarse, audioset_labels=fine)
    np.savez(benchmark / "urban_benchmark.npz", database=np.arange(6), query=np.array([1, 4]))
    for folder in (made, benchmark):
        found = DatasetReader(VGGISH.id).halves(folder, ())
        np.testing.assert_array_equal(found.queries.features[:, :5], embedding[:, :5])
        np.testing.assert_array_equal(found.queries.features[:, 5:], embedding[:, :5])
        np.testing.assert_array_equal(found.database.features[:, :5], embedding[:, 5:])
    monkeypatch.setattr(audioset, "EVALUATED", 2)
    some = DatasetReader(VGGISH.id).halves(benchmark, ())
    np.testing.assert_array_equal(some.queries.features[:, :5], embedding[[0, 5], :5])


def test_sources_are_read_from_the_table_and_blanks_around_them_dropped(recordings: Path) -> None:
    assert DatasetReader(LOGMEL.id).training_set(recordings).source_of_each.tolist() == ["saw", "saw", "", "dog"]


def test_where_no_sensor_is_held_out_each_clip_is_searched_for_among_the_others(recordings: Path) -> None:
    reader = DatasetReader(LOGMEL.id)
    for held, each in ((("sensor-2", "sensor-9"), True), ((), False), (("none",), False)):
        found = reader.benchmark(recordings, held, each=each)
        assert found.own is not None
        assert found.own.tolist() == [0, 1, 2, 3]
        assert len(found.queries) == len(found.database) == 4
    held_out = reader.benchmark(recordings, ("sensor-2", "sensor-3"), each=True)
    assert held_out.own is None
    assert held_out.queries.groups.tolist() == ["sensor-2", "sensor-3"]
    with pytest.raises(InvalidError, match="sensor-9"):
        reader.benchmark(recordings, ("sensor-9",))
