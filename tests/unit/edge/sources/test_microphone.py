"""The rule by which a microphone's blocks become clips."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.microphone import Clipper


@given(blocks=st.lists(st.integers(0, 50), max_size=40), samples=st.integers(1, 60))
def test_blocks_of_any_size_become_whole_clips_without_gaps(blocks: list[int], samples: int) -> None:
    clipper, at, clips = Clipper(samples), 0, list[float]()
    for size in blocks:
        for clip in clipper.add(np.arange(at, at + size, dtype=np.float32)):
            assert clip.shape == (samples,)
            clips += clip.tolist()
        at += size
    assert clips == list(range(at // samples * samples))
