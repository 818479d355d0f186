"""Tags of FLAC files, beside another library that reads them."""

import contextlib
import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import decode_flac, encode_flac
from shared.errors import InvalidError
from shared.flac_tags import read_tags, with_tags

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 1_600).astype(np.float32)
FLAC = encode_flac(NOISE, 16_000)

names = st.text(st.characters(min_codepoint=0x41, max_codepoint=0x5A), min_size=1, max_size=8)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(st.dictionaries(names, values, max_size=5))
def test_tags_come_back_and_the_audio_is_unchanged(tags: dict[str, str]) -> None:
    tagged = with_tags(with_tags(FLAC, {"OTHER": "before"}), tags)
    assert read_tags(tagged) == tags
    assert np.array_equal(decode_flac(tagged)[0], decode_flac(FLAC)[0])


def test_another_library_reads_the_tags() -> None:
    with soundfile.SoundFile(io.BytesIO(with_tags(FLAC, {"TITLE": "demo.a.b.1", "DATE": "2026-06-01"}))) as file:
        assert (file.title, file.date) == ("demo.a.b.1", "2026-06-01")


def test_a_file_without_our_tags_has_none() -> None:
    assert read_tags(FLAC) == {}


@given(st.integers(0, len(with_tags(FLAC, {"TITLE": "x"})) - 1), st.integers(1, 255))
def test_damaged_files_give_tags_or_an_invalid_error(at: int, mask: int) -> None:
    damaged = bytearray(with_tags(FLAC, {"TITLE": "x"}))
    damaged[at] ^= mask
    with contextlib.suppress(InvalidError):
        assert isinstance(read_tags(bytes(damaged)), dict)


@pytest.mark.parametrize("data", [b"", b"fLaC", b"RIFF" + bytes(100), FLAC[:20]])
def test_what_is_no_flac_file_is_rejected(data: bytes) -> None:
    with pytest.raises(InvalidError, match="FLAC"):
        with_tags(data, {})
