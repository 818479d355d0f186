"""Two recordings compared without a hub, as README.md shows it."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hub.features.logmel import LogMel
from hub.model.checkpoint import default_checkpoint, load
from hub.search.pair_comparison import Comparer
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL
from shared.synthetic_scene import mix_scene
from shared.taxonomy import CATEGORIES

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A jackhammer twice, at different rates, and a siren."""
    folder = tmp_path_factory.mktemp("recordings")
    scenes = {"first": ("machinery-impact", 48_000), "second": ("machinery-impact", 16_000)}
    scenes |= {"other": ("alert-signal", 48_000)}
    for number, (name, (category, rate_hz)) in enumerate(scenes.items()):
        scene = mix_scene([category], np.random.default_rng(number), rate_hz)
        soundfile.write(folder / f"{name}.wav", scene.waveform, rate_hz)
    return {name: folder / f"{name}.wav" for name in scenes}


@pytest.fixture(scope="module")
def comparer() -> Comparer:
    return Comparer.shipped()


def test_two_recordings_of_one_kind_are_likelier_the_same_than_two_of_two_kinds(
    comparer: Comparer, recordings: dict[str, Path]
) -> None:
    same = comparer.compare(recordings["first"], recordings["second"])
    different = comparer.compare(recordings["first"], recordings["other"])
    assert same.level > different.level
    assert same.both["machinery-impact"] > 0.5 > different.both["machinery-impact"]
    assert same.match_probability["machinery-impact"] > different.match_probability["machinery-impact"]


def test_a_comparison_reports_each_category_once(comparer: Comparer, recordings: dict[str, Path]) -> None:
    pair = comparer.compare(recordings["first"], recordings["other"])
    assert tuple(pair.both) == tuple(pair.match_probability) == CATEGORIES
    assert pair.matrix.shape == (8, 3)
    np.testing.assert_allclose(pair.matrix.sum(axis=1), 1, atol=1e-5)
    assert pair.level == pytest.approx(pair.matrix[:, :2].sum(), abs=1e-5)
    assert all(0 <= value <= 1 for value in [*pair.both.values(), *pair.match_probability.values()])


def test_a_file_that_is_no_recording_is_reported(
    comparer: Comparer, recordings: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.wav").write_text("not sound")
    with pytest.raises(InvalidError, match=r"notes\.wav: no recording that can be read"):
        comparer.compare(recordings["first"], tmp_path / "notes.wav")
    with pytest.raises(UnavailableError, match=r"absent\.wav"):
        comparer.compare(tmp_path / "absent.wav", recordings["first"])


def test_an_extractor_of_another_feature_space_is_refused() -> None:
    with pytest.raises(InvalidError, match="for earwitness-small-u8/1, the extractor for logmel"):
        Comparer(load(default_checkpoint(EARWITNESS_SMALL.id)), LogMel())


def test_the_readmes_python_runs_as_it_is_written(
    recordings: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(block.strip().splitlines()) <= 10
    monkeypatch.chdir(recordings["first"].parent)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, str(README), "exec"), {})  # noqa: S102 - our own page
    assert re.search(r"^similarity score: \d\.\d\d of 8$", printed.getvalue(), re.MULTILINE)
    assert re.search(r"^machinery-impact: .*\d+%", printed.getvalue(), re.MULTILINE)
