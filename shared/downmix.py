"""Choose the channel of a recording that is measured and sent, and detect faulty channels.

Sound levels are those of one microphone. A mean of channels is not: a dead channel lowers it by 6 dB, and an inverted
one cancels the audio. So a clip is the channel with the most energy, and probable faults are reported.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError

Samples = npt.NDArray[np.float32]
Waveform = npt.NDArray[np.float32]

MAX_PEAK: Final = 8.0
"""Highest sample that can be sound, full scale = 1.0: 18 dB; recorders that write floats have less reserve."""
_OVER: Final = 1.26
"""2 dB over full scale: lossy decoders exceed it by less."""
_DEAD: Final = 1e-4
"""A channel with less than this share of the loudest one's power (40 dB below it) counts as dead."""
_ALIKE: Final = 0.8
"""Channels with this share of the loudest one's power (1 dB below it) count as equally loud; the first is used."""
_INVERTED: Final = -0.9
"""A channel whose correlation with the loudest one is below this counts as inverted."""


def loudest(samples: Samples) -> Waveform:
    """Return the first channel whose energy without its mean is at least `_ALIKE` times the loudest one's.

    Args:
        samples: float32 [samples, channels].

    Returns:
        float32 [samples].
    """
    if samples.shape[1] == 1 or not len(samples):
        return samples[:, 0]
    return np.ascontiguousarray(samples[:, _chosen(samples.var(axis=0))])


def check_samples(samples: Samples) -> None:
    """Reject samples that cannot be sound.

    Args:
        samples: float32 [samples] or [samples, channels], full scale = 1.0.

    Raises:
        InvalidError: no samples, samples that are not finite, or a peak above `MAX_PEAK`.
    """
    if not samples.size:
        raise InvalidError("it contains no samples")
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise InvalidError("it contains samples that are not finite numbers (NaN or infinity)")
    if peak > MAX_PEAK:
        raise InvalidError(
            f"its samples reach {peak:.0f} times full scale: floats in the range of integers? Divide them by 32768,"
            " or write them as integers"
        )


def channel_faults(samples: Samples) -> list[str]:
    """Return the probable faults of a recorder.

    Args:
        samples: float32 [samples, channels], finite.

    Returns:
        One text per fault; empty without faults.
    """
    if not len(samples):
        return []
    faults = []
    peak = float(np.abs(samples).max())
    if peak > _OVER:
        faults.append(
            f"samples reach {20 * np.log10(peak):+.0f} dB to full scale: levels include them, audio is sent clipped"
        )
    power = samples.var(axis=0)
    best = _chosen(power)
    if power[best] == 0.0:
        return [*faults, "it contains digital silence only"]
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
    """Return the first channel that is as loud as the loudest; if powers are not finite, the first such channel."""
    return int(np.argmax(~(power < _ALIKE * power.max())))
