"""Clips cut into halves, which share their sources, so that a search for one half can find the other.

Sound and features follow the same rule: a clip is cut in the middle, and each half is repeated up to the length of a
clip. With an odd number of samples or frames, the middle one is in neither half. Halves of a recording are embedded
separately; halves of a VGGish embedding are its frames 0 to 4 and 5 to 9.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from hub.training.dataset import Dataset
from shared.audio import Waveform
from shared.errors import InvalidError
from shared.events import CLIP_S

FIRST: Final = 0
SECOND: Final = 1


def half_of_sound(waveform: Waveform, rate_hz: int, half: int) -> Waveform:
    """Return one half of the first clip of a recording; the extractor repeats it.

    Args:
        waveform: float32 [samples], at least two.
        rate_hz: its sample rate in Hz.
        half: `FIRST` or `SECOND`.

    Raises:
        InvalidError: there are fewer samples.
    """
    clip = waveform[: round(CLIP_S * rate_hz)]
    middle = len(clip) // 2
    if middle == 0:
        raise InvalidError("a recording of one sample cannot be cut in two")
    return clip[:middle] if half == FIRST else clip[-middle:]


def half_of_features(data: Dataset, half: int) -> Dataset:
    """Return the clips with one half of their frames, repeated up to the space's number of frames.

    Args:
        data: of a feature space of at least two frames.
        half: `FIRST` or `SECOND`.

    Raises:
        InvalidError: there are fewer frames.
    """
    frames = data.space.frames
    middle = frames // 2
    if middle == 0:
        raise InvalidError(f"clips of {data.space.id} have one frame only: they cannot be cut in two")
    chosen = np.resize(np.arange(middle), frames) + (0 if half == FIRST else frames - middle)
    return replace(data, features=data.features[:, chosen])
