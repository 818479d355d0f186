"""A FLAC clip that would take much memory, or whose header lies, is refused before anything is decoded."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import decode_flac, encode_flac
from shared.errors import InvalidError

CLIP = encode_flac(np.sin(np.arange(16_000) / 5).astype(np.float32), 16_000)
TOTAL = slice(21, 26)
"""Bytes whose low 36 bits are the number of samples. Source: RFC 9639, 8.2 (STREAMINFO)."""


def long(rate_hz: int, seconds: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(rate_hz * seconds, dtype=np.int16), rate_hz, format="FLAC")
    return buffer.getvalue()


def of_length(samples: int) -> bytes:
    head = bytes([(CLIP[21] & 0xF0) | (samples >> 32), *(samples & 0xFFFFFFFF).to_bytes(4, "big")])
    return CLIP[: TOTAL.start] + head + CLIP[TOTAL.stop :]


@pytest.mark.parametrize(("rate_hz", "seconds"), [(1_000, 61), (1_000, 3_600), (16_000, 61)])
def test_a_clip_of_more_than_a_minute_is_refused_whatever_its_rate(rate_hz: int, seconds: int) -> None:
    with pytest.raises(InvalidError, match="more than 60 s"):
        decode_flac(long(rate_hz, seconds))


@pytest.mark.parametrize("rate_hz", [10, 999])
def test_a_rate_outside_the_contract_is_refused(rate_hz: int) -> None:
    with pytest.raises(InvalidError, match="rate"):
        decode_flac(long(rate_hz, 10))


@pytest.mark.parametrize("samples", [2**36 - 1, 60 * 384_000 + 1])
def test_a_header_that_promises_too_much_is_refused(samples: int) -> None:
    with pytest.raises(InvalidError):
        decode_flac(of_length(samples))


@given(st.integers(0, len(CLIP) - 1), st.integers(0, 255))
def test_a_damaged_clip_is_decoded_or_refused(place: int, value: int) -> None:
    damaged = bytearray(CLIP)
    damaged[place] = value
    try:
        waveform, rate_hz = decode_flac(bytes(damaged))
    except InvalidError:
        return
    assert 0 < waveform.size <= 60 * rate_hz
