"""Describe the calibration of a sensor's levels in words."""

from shared.events import LevelUnit


def describe_calibration(unit: LevelUnit, age_days: float | None) -> str:
    """Return whether and when levels were calibrated, such as "calibrated 12 days before".

    Args:
        unit: unit of the levels: `dBFS` of a sensor that was never calibrated.
        age_days: age of the calibration in days; None if it is not known: it was set by hand, the sensor has an
            earlier version, or one of the clocks was wrong.
    """
    if unit == "dBFS":
        return "never calibrated"
    if age_days is None:
        return "calibrated, date not known"
    days = int(age_days)
    if days == 0:
        return "calibrated less than a day before"
    return f"calibrated {days} day{'s' if days != 1 else ''} before"
