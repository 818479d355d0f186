"""Clips cut in two, so that the one half can be searched for with the other: two clips that share their sources.

The same rule holds for sound and for features that were made of it: a clip is cut in the middle, and each half is
repeated until it is as long as a clip. Of an odd number of samples or frames, the one in the middle is in neither
half. Of a recording, both halves are heard anew; of an embedding, VGGish's frames 0 to 4 and 5 to 9 are taken.
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
    """One half of the clip at the beginning of a recording; whoever hears it repeats it.

    Args:
        waveform: float32 [samples], at least two.
        rate_hz: its sample rate in Hz.
        half: `FIRST` or `SECOND`.

    Raises:
        Invalid: fewer samples.
    """
    clip = waveform[: round(CLIP_S * rate_hz)]
    middle = len(clip) // 2
    if middle == 0:
        raise InvalidError("a recording of one sample cannot be cut in two")
    return clip[:middle] if half == FIRST else clip[-middle:]


def half_of_features(data: Dataset, half: int) -> Dataset:
    """The same clips, of whose frames only one half is left, repeated up to the space's number of frames.

    Args:
        data: of a feature space of at least two frames.
        half: `FIRST` or `SECOND`.

    Raises:
        Invalid: fewer frames.
    """
    frames = data.space.frames
    middle = frames // 2
    if middle == 0:
        raise InvalidError(f"clips of {data.space.id} have one frame only: they cannot be cut in two")
    chosen = np.resize(np.arange(middle), frames) + (0 if half == FIRST else frames - middle)
    return replace(data, features=data.features[:, chosen])
