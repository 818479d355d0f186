"""Findings of `check` about a microphone and a broker."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge import diagnostics
from edge.diagnostics import CheckResult, run_checks
from edge.settings import EdgeSettings
from edge.sources import AudioClip
from shared.settings import load_settings
from tests.brokers import Behaviour, FaultyBroker


class Microphone:
    """One that records a tone of an amplitude."""

    live, payload_format, description = True, "flac", "microphone"

    def __init__(self, amplitude: float) -> None:
        self.amplitude = amplitude

    def clips(self, _stop: object) -> Iterator[AudioClip]:
        tone = self.amplitude * np.sin(2 * np.pi * 1_000 * np.arange(80_000) / 8_000)
        yield AudioClip(tone.astype(np.float32), 8_000, datetime.now(UTC))
        raise AssertionError("one clip is enough")


@pytest.mark.parametrize(
    ("amplitude", "works", "stated"),
    [(0.1, True, "LAeq of 10 s is -20 dBFS"), (0.0, False, "silent: all samples are 0; unmute the input")],
)
def test_a_microphone_is_listened_to(
    monkeypatch: pytest.MonkeyPatch, amplitude: float, works: bool, stated: str
) -> None:
    monkeypatch.setattr(diagnostics, "open_source", lambda _: Microphone(amplitude))
    monkeypatch.setattr(diagnostics, "try_broker", lambda _: "not tried")
    found = {one.what: one for one in run_checks(load_settings(EdgeSettings, None, ["source.kind=microphone"]))}
    assert (found["microphone"].ok, found["microphone"].words) == (True, "microphone: sound at 8000 Hz")
    assert (found["level"].ok, stated in found["level"].words) == (works, True)


def test_a_microphone_that_delivers_nothing_is_named_and_has_no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Microphone, "clips", lambda *_: iter(()))
    monkeypatch.setattr(diagnostics, "open_source", lambda _: Microphone(0.1))
    monkeypatch.setattr(diagnostics, "try_broker", lambda _: "not tried")
    found = {one.what: one for one in run_checks(load_settings(EdgeSettings, None, ["source.kind=microphone"]))}
    assert not found["microphone"].ok
    assert "check the plug and source.device" in found["microphone"].words
    assert "level" not in found


def test_a_connection_without_tls_is_named_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "try_broker", lambda _: "not tried")
    found = {one.what: one for one in run_checks(EdgeSettings())}
    assert found["tls"].ok
    assert "set mqtt.tls and mqtt.ca_file" in found["tls"].words


STATED, UNSAID = b"\xe0\x02\x8e\x00", b"\xe0\x00"
"""DISCONNECT because the session is taken over, and without a reason. Source: MQTT 5.0, 3.14.2.1."""


@pytest.mark.parametrize("ends", [[STATED], [UNSAID], [UNSAID, UNSAID]])
def test_another_client_that_comes_before_the_first_answer_is_named(tmp_path: Path, ends: list[bytes]) -> None:
    """The other client takes the session back between CONNACK and PUBACK, which not every broker reports."""
    broker = FaultyBroker(Behaviour(after_connack=ends))
    try:
        found = broker_of(broker, tmp_path)
    finally:
        broker.stop()
    assert not found.ok
    assert "another client uses this name (demo/sensor-1)" in found.words


def test_a_broker_that_ends_each_connection_at_the_message_does_not_let_it_publish(tmp_path: Path) -> None:
    broker = FaultyBroker(Behaviour(hangs_up=lambda _: True))
    try:
        found = broker_of(broker, tmp_path)
    finally:
        broker.stop()
    assert not found.ok
    assert "does not let demo/sensor-1 publish (no answer)" in found.words


def broker_of(broker: FaultyBroker, folder: Path) -> CheckResult:
    settings = load_settings(EdgeSettings, None, (f"mqtt.port={broker.port}", f"spool.path={folder / 'spool.db'}"))
    return next(one for one in run_checks(settings) if one.what == "broker")
