import os
import queue
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mqtt.session import Disconnected, MqttSession, full_jitter
from shared.settings import MqttSettings


@given(st.integers(0, 10_000), st.floats(0.001, 3600), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_never_negative_and_never_over_the_cap(attempt: int, cap_s: float, drawn: float) -> None:
    assert 0.0 <= full_jitter(attempt, cap_s, lambda: drawn) <= cap_s


def test_the_range_doubles_with_every_failure() -> None:
    assert [full_jitter(n, 60, lambda: 1.0) for n in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_wait_for_signals_ends_though_a_handler_of_the_systems_outlasts_it() -> None:
    link = MqttSession(MqttSettings(), "some-client")
    rescue = threading.Timer(10, link.signals.put, [Disconnected("it waited for ever", 0)])
    strike = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1])
    before = signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait(0.3) and None)
    try:
        rescue.start()
        strike.start()
        with pytest.raises(queue.Empty):
            link.signals.get(timeout=0.2)
    finally:
        rescue.cancel()
        strike.join()
        signal.signal(signal.SIGUSR1, before)
