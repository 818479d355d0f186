"""What the page of a day shows of the third-octave bands: addresses of picture and levels, axis and colours."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.web.api.level_answers import written
from hub.web.band_image import scale
from hub.web.context import WebContext
from hub.web.level_spans import Span
from shared.events import LevelUnit
from shared.levels.bands import NOMINAL_HZ

_LABELLED: Final = (31.5, 63.0, 125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0)
"""Bands with a label on the axis: the octaves."""


@dataclass(frozen=True, slots=True)
class BandPicture:
    """The picture of a day's bands.

    Attributes:
        picture: address of the picture.
        values: address of the levels.
        labels: frequency in Hz and height in per cent from the top of each label.
        past: share of the day that is over, in per cent.
        scale: levels with their colours, from low to high.
        unit: of the levels.
    """

    picture: str
    values: str
    labels: Sequence[tuple[str, float]]
    past: float
    scale: Sequence[tuple[int, str]]
    unit: LevelUnit


def bands_of(parts: WebContext, place: str, span: Span, unit: LevelUnit) -> BandPicture | None:
    """Return the picture of a day; None if the hub has no bands of it.

    Raises:
        UnavailableError: the store does not answer.
    """
    begin_s, end_s = span.bounds_s
    if not parts.level_bands.has(place, begin_s, end_s):
        return None
    query = f"place={place}&since={written(begin_s)}&until={written(end_s)}"
    count = len(NOMINAL_HZ)
    labels = [
        (
            f"{hertz / 1_000:g}k" if hertz >= 1_000.0 else f"{hertz:g}",
            100 * (1 - (NOMINAL_HZ.index(hertz) + 0.5) / count),
        )
        for hertz in _LABELLED
    ]
    return BandPicture(
        picture=f"/api/v1/levels/bands.png?{query}",
        values=f"/api/v1/levels/bands?{query}&resolution=minute",
        labels=labels,
        past=100 * min(1.0, max(0.0, (time.time() - begin_s) / (end_s - begin_s))),
        scale=scale(unit),
        unit=unit,
    )
