"""Define the keys of levels in Redis; `hub.store.keys` defines all others.

`place` is `site/sensor`. `hour` and `day` are counted from 1970 UTC.

| key | type | content |
|---|---|---|
| `ew:levels:<place>:<hour>` | string | 16-bit codes of the levels of each second of an hour |
| `ew:levels:day:<place>:<day>` | string | the same of the statistics of each hour, then of each minute, of a day |
| `ew:levels:calibrations:<place>` | sorted set | JSON of id and time of a calibration, by its first second |
| `ew:levels:hours` | sorted set | all `<place>:<hour>` with levels of seconds, by begin in s |
| `ew:levels:changed:<place>` | sorted set | hours with seconds that the statistics lack, by their number |
| `ew:levels:statistic-days` | sorted set | all `<place>:<day>` with statistics, by begin in s |
| `ew:levels:layout` | string | version of this layout, once what earlier hubs wrote has it |
| `ew:levels:statistics:<place>:<day>` | string | statistics of a day as earlier hubs wrote them |
| `ew:levels:days` | sorted set | all `<place>:<day>` with such statistics, by begin in s |
"""

from typing import Final

from hub.store import keys

_LEVELS: Final = f"{keys.PREFIX}:levels"

HOURS: Final = f"{_LEVELS}:hours"
DAYS: Final = f"{_LEVELS}:statistic-days"
LAYOUT: Final = f"{_LEVELS}:layout"
EARLIER_DAYS: Final = f"{_LEVELS}:days"


def seconds(place: str, hour: int) -> str:
    """Levels of the seconds of an hour of a sensor."""
    return f"{_LEVELS}:{place}:{hour}"


def statistics(place: str, day: int) -> str:
    """Statistics of the levels of a day of a sensor."""
    return f"{_LEVELS}:day:{place}:{day}"


def changed(place: str) -> str:
    """Hours of a sensor with seconds that its statistics lack."""
    return f"{_LEVELS}:changed:{place}"


def calibrations(place: str) -> str:
    """Calibrations of a sensor that apply to its levels."""
    return f"{_LEVELS}:calibrations:{place}"


def earlier_statistics(place: str, day: int) -> str:
    """Statistics of a day of a sensor, as earlier hubs wrote them."""
    return f"{_LEVELS}:statistics:{place}:{day}"
