"""What `check` says of a microphone: it listens."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from edge import check
from edge.check import examine
from edge.settings import EdgeSettings
from edge.sources import Sound


class Microphone:
    """One that hears a tone of an amplitude."""

    live, form, description = True, "flac", "microphone"

    def __init__(self, amplitude: float) -> None:
        self.amplitude = amplitude

    def items(self, _stop: object) -> Iterator[Sound]:
        tone = self.amplitude * np.sin(2 * np.pi * 1_000 * np.arange(80_000) / 8_000)
        yield Sound(tone.astype(np.float32), 8_000, datetime.now(UTC))
        raise AssertionError("one clip is enough")


@pytest.mark.parametrize(
    ("amplitude", "said"),
    [(0.1, "it hears -20 dBFS (LAeq of ten seconds)"), (0.0, "it hears nothing (LAeq -120 dBFS): look at the cable")],
)
def test_a_microphone_is_listened_to(monkeypatch: pytest.MonkeyPatch, amplitude: float, said: str) -> None:
    monkeypatch.setattr(check, "open_source", lambda _: Microphone(amplitude))
    monkeypatch.setattr(check, "_try_broker", lambda _: "not tried")
    (source,) = (one for one in examine(EdgeSettings()) if one.what == "source")
    assert said in source.words
