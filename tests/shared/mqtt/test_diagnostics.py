"""Errors about a name that is none."""

import pytest

from shared.mqtt.diagnostics import explain_connection_failure
from shared.settings import MqttSettings


@pytest.mark.parametrize(
    ("host", "stated"),
    [
        ("mqtt://broker", "write the name alone, without mqtt://"),
        ("broker:1883", "and the port as mqtt.port"),
        ("[::1]", "without brackets"),
        ("broker..example", "which is no host name"),
        (".broker", "which is no host name"),
        ("x" * 70, "which is no host name"),
        ("a b", "which is no host name"),
        ("nowhere.invalid", "the name nowhere.invalid is unknown here"),
    ],
)
def test_a_name_that_is_none_is_reported_with_what_to_write(host: str, stated: str) -> None:
    assert stated in explain_connection_failure(MqttSettings(host=host, port=1), None)
