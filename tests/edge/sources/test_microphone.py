"""The rule by which a microphone's blocks become clips; a microphone that is not there."""

from threading import Event as Flag

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.live_blocks import ClipAssembler
from edge.sources.microphone import MicrophoneSource
from shared.errors import UnavailableError
from tests.programs import library


@given(blocks=st.lists(st.integers(0, 50), max_size=40), samples=st.integers(1, 60))
def test_blocks_of_any_size_become_whole_clips_without_gaps(blocks: list[int], samples: int) -> None:
    clipper, at, clips = ClipAssembler(samples), 0, list[float]()
    for size in blocks:
        for clip in clipper.add(np.arange(at, at + size, dtype=np.float32)):
            assert clip.shape == (samples,)
            clips += clip.tolist()
        at += size
    assert clips == list(range(at // samples * samples))


def test_a_microphone_that_is_not_there_is_named_with_the_command_that_lists_those_that_are() -> None:
    library("portaudio")
    with pytest.raises(
        UnavailableError, match=r"no input device nothing at 48000 Hz: .*`python -m sounddevice` lists"
    ):
        next(iter(MicrophoneSource(device="nothing", rate_hz=48_000).clips(Flag())), None)
