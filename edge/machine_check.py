"""Check the machine for `earwitness-edge check`: supply voltage, temperature and memory."""

from typing import Final

from edge.commands.self_test import HOT_C
from shared.errors import UnavailableError
from shared.messages.sensor import SensorHealth

FULL_MEMORY: Final = 0.9


def judge_machine(health: SensorHealth) -> str:
    """Return the state of the machine as text, with what to do about doubts.

    Args:
        health: health of the machine; unknown values are left out.

    Raises:
        UnavailableError: the supply voltage is too low now.
    """
    if health.under_voltage:
        raise UnavailableError("the supply voltage is too low: use the board's own supply, or a shorter cable")
    words = []
    if health.under_voltage is not None:
        low = "was too low since the start: use the board's own supply, or a shorter cable"
        words.append(f"the supply voltage {low if health.under_voltage_seen else 'is sufficient'}")
    if health.temperature_c is not None:
        hot = "; the board slows down: shade or ventilate it" if health.temperature_c >= HOT_C else ""
        words.append(f"{health.temperature_c:.0f} degrees Celsius{hot}")
    if health.memory_used is not None:
        full = "; stop other programs" if health.memory_used >= FULL_MEMORY else ""
        words.append(f"{health.memory_used:.0%} of memory is used{full}")
    return "; ".join(words) or "the platform reports no health"
