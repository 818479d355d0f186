"""Table and chart of an event's level details: values that the template of the event's page shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.levels.bands import NOMINAL_HZ
from shared.levels.values import LevelDetails

CHART: Final = (310, 120)
"""Width and height of the chart of bands."""
_GRID_DB: Final = 20.0
_LABELLED: Final = 3
"""Every third band, an octave apart, has a label below the chart."""
_FIRST_LABELLED: Final = 2
_ROWS: Final = (
    ("LCeq", "lceq"),
    ("LZeq", "lzeq"),
    ("LCpeak", "lcpeak"),
    ("LAE", "lae"),
    ("LASmax", "lasmax"),
    ("LAFmin", "lafmin"),
    ("LAIeq", "laieq"),
    ("LAImax", "laimax"),
    ("LA1", "l1"),
    ("LA5", "l5"),
    ("LA10", "l10"),
    ("LA50", "l50"),
    ("LA90", "l90"),
    ("LA95", "l95"),
    ("Ambient", "ambient"),
)


@dataclass(frozen=True, slots=True)
class BandBar:
    """A bar of the chart: its place in the box of `CHART`, its band and level in words, and a label or ""."""

    x: float
    y: float
    width: float
    height: float
    words: str
    label: str


@dataclass(frozen=True, slots=True)
class LevelChart:
    """Level details for a page.

    Attributes:
        rows: name and level in dB of each known level.
        bars: third-octave bands from 20 Hz upwards.
        lines: y and level in dB of each line of the grid.
        summary: the loudest band in words; "" without bands.
    """

    rows: tuple[tuple[str, float], ...]
    bars: tuple[BandBar, ...]
    lines: tuple[tuple[float, float], ...]
    summary: str


def level_chart(details: LevelDetails) -> LevelChart:
    """Return table and chart of level details."""
    rows = [(name, getattr(details, field)) for name, field in _ROWS]
    known = tuple((name, value) for name, value in rows if value is not None)
    if not details.bands:
        return LevelChart(known, (), (), "")
    low, high = _GRID_DB * (min(details.bands) // _GRID_DB), max(details.bands)
    scale = (CHART[1] - 4.0) / max(_GRID_DB, high - low)
    loudest = NOMINAL_HZ[details.bands.index(high)]
    lines = [low + _GRID_DB * number for number in range(1, max(1, int((high - low) // _GRID_DB)) + 1)]
    return LevelChart(
        known,
        tuple(_bars(details.bands, low, scale)),
        tuple((round(CHART[1] - scale * (line - low), 1), line) for line in lines),
        f"third-octave bands from 20 Hz; the loudest is {loudest:g} Hz",
    )


def _bars(bands: Sequence[float], low: float, scale: float) -> list[BandBar]:
    step = CHART[0] / len(NOMINAL_HZ)
    bars = []
    for number, (level_db, frequency_hz) in enumerate(zip(bands, NOMINAL_HZ, strict=False)):
        height = max(0.5, scale * (level_db - low))
        text = f"{frequency_hz / 1_000:g}k" if frequency_hz >= 1_000.0 else f"{frequency_hz:g}"
        labelled = number % _LABELLED == _FIRST_LABELLED
        bars.append(
            BandBar(
                x=round(step * number + 1.0, 1),
                y=round(CHART[1] - height, 1),
                width=round(step - 2.0, 1),
                height=round(height, 1),
                words=f"{frequency_hz:g} Hz: {level_db:.1f} dB",
                label=text if labelled else "",
            )
        )
    return bars
