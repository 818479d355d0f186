"""Picture of the one-third-octave bands of a day, as PNG, and its scale of colours."""

import io
from typing import Final

import numpy as np
from PIL import Image

from hub.domain.level_rows import Floats
from hub.features.spectrogram import colours
from shared.events import LevelUnit

RANGES: Final[dict[LevelUnit, tuple[int, int]]] = {"dB": (20, 80), "dBFS": (-100, -40)}
"""Levels of the darkest and the lightest colour: the same on all days, so that pictures of days can be compared."""
BAND_HEIGHT: Final = 8
_COLOURS: Final = 121
"""Half a decibel each, as the store keeps bands."""
_NONE: Final = 255


def band_png(levels: Floats, unit: LevelUnit) -> bytes:
    """Return a picture of bands: a column per period, 8 rows per band, the lowest band at the bottom.

    Args:
        levels: float64 [periods, bands] in `unit`, at least one period; NaN is transparent.
        unit: of the levels.
    """
    low, high = RANGES[unit]
    known = np.isfinite(levels)
    steps = np.clip((np.where(known, levels, low) - low) / (high - low), 0.0, 1.0)
    codes = np.where(known, np.rint(steps * (_COLOURS - 1)), _NONE).astype(np.uint8)
    pixels = np.repeat(codes.T[::-1], BAND_HEIGHT, axis=0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.putpalette(colours(np.linspace(0.0, 1.0, _COLOURS)).tobytes() + bytes(3 * (256 - _COLOURS)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=_NONE)
    return buffer.getvalue()


def scale(unit: LevelUnit) -> list[tuple[int, str]]:
    """Return levels of the scale from low to high, 10 dB apart, each with its colour as `#rrggbb`."""
    low, high = RANGES[unit]
    levels = range(low, high + 1, 10)
    shown = colours(np.linspace(0.0, 1.0, len(levels)))
    return [(level, "#" + bytes(colour).hex()) for level, colour in zip(levels, shown, strict=True)]
