"""From channels to the one waveform that is measured and sent, and what is to be said about them.

Levels are those of one microphone. A mean of channels is none: a dead channel takes 6 dB off, and an inverted one
leaves silence. So a clip is the channel with the most energy in it, and what looks like a fault is told.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError

Samples = npt.NDArray[np.float32]
Waveform = npt.NDArray[np.float32]

MAX_PEAK: Final = 8.0
"""Highest sample, full scale = 1.0, that can be sound: 18 dB; recorders that write floats have less reserve."""
_OVER: Final = 1.26
"""2 dB over full scale: lossy decoders exceed it by less."""
_DEAD: Final = 1e-4
"""A channel with less than this share of the loudest one's power (40 dB below it) is taken for dead."""
_ALIKE: Final = 0.8
"""Channels with this share of the loudest one's power (1 dB below it) are as loud: clips then keep to the first."""
_INVERTED: Final = -0.9
"""Correlation with the loudest channel below which a channel is taken for an inverted one."""


def loudest(samples: Samples) -> Waveform:
    """Return the first channel whose energy is within `_ALIKE` of the loudest one's, a constant offset not counted.

    Args:
        samples: float32 [samples, channels].

    Returns:
        float32 [samples].
    """
    if samples.shape[1] == 1 or not len(samples):
        return samples[:, 0]
    return np.ascontiguousarray(samples[:, _chosen(samples.var(axis=0))])


def check_samples(samples: Samples) -> None:
    """Refuse what cannot be sound.

    Args:
        samples: float32 [samples] or [samples, channels], full scale = 1.0.

    Raises:
        Invalid: no samples, samples that are not finite, or a peak above `MAX_PEAK`.
    """
    if not samples.size:
        raise InvalidError("it holds no samples")
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise InvalidError("it holds samples that are not finite numbers (NaN or infinity)")
    if peak > MAX_PEAK:
        raise InvalidError(
            f"its samples reach {peak:.0f} times full scale: floats in the range of integers? Divide them by 32768,"
            " or write them as integers"
        )


def channel_faults(samples: Samples) -> list[str]:
    """Say what looks like a fault of a recorder.

    Args:
        samples: float32 [samples, channels], finite.

    Returns:
        Sentences; empty if nothing is wrong.
    """
    if not len(samples):
        return []
    faults = []
    peak = float(np.abs(samples).max())
    if peak > _OVER:
        faults.append(
            f"samples reach {20 * np.log10(peak):+.0f} dB to full scale: levels count them, the sound is sent clipped"
        )
    power = samples.var(axis=0)
    best = _chosen(power)
    if power[best] == 0.0:
        return [*faults, "there is not one sound in it (digital silence)"]
    for other in range(samples.shape[1]):
        if other == best:
            continue
        if power[other] < _DEAD * power[best]:
            faults.append(f"channel {other + 1} is dead: channel {best + 1} is measured and sent")
        elif np.corrcoef(samples[:, best], samples[:, other])[0, 1] < _INVERTED:
            faults.append(
                f"channel {other + 1} is channel {best + 1} inverted: channel {best + 1} is measured and sent"
            )
    return faults


def _chosen(power: Samples) -> int:
    """The first channel that is as loud as the loudest; if a power is not finite, the first such channel."""
    return int(np.argmax(~(power < _ALIKE * power.max())))
