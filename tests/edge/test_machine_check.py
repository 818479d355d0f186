"""What `check` states of the machine."""

import pytest

from edge.machine_check import judge_machine
from shared.errors import UnavailableError
from shared.messages.sensor import SensorHealth


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (SensorHealth(), "no health"),
        (SensorHealth(under_voltage=False, under_voltage_seen=False), "is sufficient"),
        (SensorHealth(under_voltage=False, under_voltage_seen=True), "was too low"),
        (SensorHealth(temperature_c=79.0), "79 degrees Celsius"),
        (SensorHealth(temperature_c=80.0), "ventilate"),
        (SensorHealth(memory_used=0.95), "stop other programs"),
    ],
)
def test_each_value_is_named_with_what_to_do(health: SensorHealth, words: str) -> None:
    assert words in judge_machine(health)


def test_a_supply_voltage_that_is_too_low_fails() -> None:
    with pytest.raises(UnavailableError, match="supply"):
        judge_machine(SensorHealth(under_voltage=True, under_voltage_seen=True))
