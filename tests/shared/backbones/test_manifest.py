"""The contents that a description may have."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.backbones.manifest import BackboneManifest, read, write
from shared.errors import InvalidError, UnavailableError
from shared.events import CLIP_S

FIELDS: dict[str, object] = {
    "id": "mine-u8/1",
    "model": "mine.onnx",
    "sha256": "0" * 64,
    "rate_hz": 16_000,
    "window": 16_000,
    "hop": 16_000,
    "dimension": 128,
    "low": -2.0,
    "high": 2.0,
}


def described(**other: object) -> BackboneManifest:
    return BackboneManifest.model_validate(FIELDS | other)


@pytest.mark.parametrize("output", [None, 'with "quotes"'])
def test_what_is_written_is_read_again(tmp_path: Path, output: str | None) -> None:
    write(tmp_path / "a.toml", described(output=output, low=-1e-7))
    assert read(tmp_path / "a.toml") == described(output=output, low=-1e-7)


@given(rate_hz=st.integers(1_000, 384_000), data=st.data())
def test_as_many_frames_as_windows_that_fit_in_a_clip(rate_hz: int, data: st.DataObject) -> None:
    samples = int(CLIP_S * rate_hz)
    window = data.draw(st.integers(1, samples))
    hop = data.draw(st.integers(max(1, samples // 400), 2 * samples))
    reported = described(rate_hz=rate_hz, window=window, hop=hop, dimension=1)
    last_start = (reported.frames - 1) * hop
    assert last_start + window <= samples < last_start + hop + window
    assert reported.space.shape == (reported.frames, 1)


def test_a_window_may_give_several_frames(tmp_path: Path) -> None:
    whole = described(window=160_000, hop=160_000, frames_per_window=10)
    assert whole.space.shape == (10, 128)
    assert described(window=80_000, hop=80_000, frames_per_window=3).frames == 6
    for manifest, stated in ((whole, True), (described(), False)):
        write(tmp_path / "a.toml", manifest)
        assert read(tmp_path / "a.toml") == manifest
        assert ("frames_per_window" in (tmp_path / "a.toml").read_text()) is stated


def test_the_space_keeps_id_and_range() -> None:
    space = described().space
    assert (space.id, space.shape, space.low, space.high) == ("mine-u8/1", (10, 128), -2.0, 2.0)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"id": "no version"}, "id"),
        ({"id": "Upper/1"}, "id"),
        ({"model": "../elsewhere.onnx"}, "model"),
        ({"sha256": "short"}, "sha256"),
        ({"rate_hz": 10}, "rate_hz"),
        ({"window": 160_001}, "longer than a clip"),
        ({"hop": 0}, "hop"),
        ({"frames_per_window": 0}, "frames_per_window"),
        ({"frames_per_window": 60}, "over the cap of 65536"),
        ({"low": 2.0}, "low must be below high"),
        ({"low": float("nan")}, "low"),
        ({"hop": 100, "dimension": 4096}, "over the cap of 65536"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field(other: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        described(**other)


def test_a_file_that_is_no_description_states_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with pytest.raises(UnavailableError, match=r"cannot read .*a\.toml"):
        read(path)
    path.write_text("id = ")
    with pytest.raises(InvalidError, match="TOML"):
        read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidError, match="UTF-16"):
        read(path)
    path.write_text('id = "mine-u8/1"\nrate_hz = "fast"\n')
    with pytest.raises(InvalidError, match=r"rate_hz: .*; window: Field required"):
        read(path)
