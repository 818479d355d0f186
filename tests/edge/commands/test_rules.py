"""What a command of a hub may do."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from edge.commands.rules import Decision, SettingsView, decide, has_expired, locked, public_settings
from edge.settings import EdgeSettings
from shared.commands import ACTIONS, CommandAction, CommandMessage
from shared.settings import load_settings

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def load(overrides: Mapping[str, str]) -> EdgeSettings:
    return load_settings(EdgeSettings, None, [f"{name}={value}" for name, value in overrides.items()])


def command(action: CommandAction, settings: dict[str, str | None] | None = None) -> CommandMessage:
    return CommandMessage(
        id="0123456789abcdef",
        site="demo",
        sensor="sensor-1",
        hub="hub-1",
        action=action,
        sent_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
        settings=settings or {},
    )


def decided(
    action: CommandAction, settings: dict[str, str | None] | None = None, *, on_trial: bool = False, **own: str
) -> Decision:
    given = {name.replace("__", "."): value for name, value in own.items()}
    return decide(command(action, settings), SettingsView(load(given), given, load, on_trial))


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_a_decision(action: CommandAction) -> None:
    assert decided(action).status in {"accepted", "done", "refused"}


def test_a_valid_change_is_added_to_earlier_ones() -> None:
    decision = decided("change-settings", {"log.level": "debug"}, sensor__report_interval_s="60")
    assert decision.effect == "change"
    assert decision.overrides == {"sensor.report_interval_s": "60", "log.level": "debug"}


def test_a_change_without_a_value_removes_an_earlier_one() -> None:
    decision = decided("change-settings", {"log.level": None}, log__level="debug")
    assert decision.overrides == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mqtt.port", "0"),
        ("log.level", "loud"),
        ("no.such", "1"),
        ("sensor.site", "other"),
        ("mqtt.password", "x"),
        ("mqtt.password_file", "/etc/shadow"),
        ("mqtt.key_file", "/x"),
        ("mqtt.tls", "false"),
        ("spool.path", "/x.db"),
        ("source.path", "/home"),
        ("commands.enabled", "false"),
        ("commands.rollback_after_s", "3600"),
    ],
)
def test_an_invalid_or_locked_change_is_refused_with_the_reason(name: str, value: str) -> None:
    decision = decided("change-settings", {name: value})
    assert (decision.status, decision.effect) == ("refused", "none")
    assert name.partition(".")[2] in decision.reason


def test_a_second_change_waits_for_the_trial_of_the_first() -> None:
    assert decided("change-settings", {"log.level": "debug"}, on_trial=True).status == "refused"


def test_a_sensor_that_sends_no_sound_sends_none_for_a_hub() -> None:
    space = "earwitness-small"
    assert decided("clip", features__space=space).status == "refused"
    assert decided("change-settings", {"features.space": None}, features__space=space).status == "refused"
    assert decided("clip").effect == "clip"


def test_a_sensor_that_sends_levels_only_sends_no_clips_for_a_hub() -> None:
    refused = decided("change-settings", {"send.what": "embeddings"}, send__what="levels")
    assert (refused.status, refused.reason) == (
        "refused",
        "this sensor sends levels only; change that on the sensor itself",
    )
    assert decided("clip", send__what="levels").status == "refused"


def test_queries_return_no_secret() -> None:
    settings = load({"mqtt.username": "one", "mqtt.password": "s3cret", "sensor.name": "corner"})
    shown = public_settings(settings)
    assert shown["sensor.name"] == "corner"
    assert "mqtt.password" not in shown
    assert "s3cret" not in str(shown)


def test_names_and_passwords_in_urls_are_not_shown() -> None:
    assert public_settings(load({"mqtt.host": "rtsp://user:s3cret@camera"}))["mqtt.host"] == "rtsp://***@camera"


def test_every_secret_and_path_is_locked() -> None:
    for name, reason in (("mqtt.password", "secret"), ("mqtt.ca_file", "path"), ("spool.path", "path")):
        assert reason in (locked(name) or "")
    assert locked("mqtt.port") is None


@pytest.mark.parametrize(
    ("late_s", "clock", "broker_s", "runs"),
    [
        (0, "synchronised", 60, True),
        (64, "synchronised", 60, True),
        (66, "synchronised", 60, False),
        (66, "synchronised", None, False),
        (86_400, "unknown", 60, True),
        (0, "unknown", None, False),
        (-86_400, "unsynchronised", 1, True),
    ],
)
def test_a_command_expires_by_a_synchronised_clock_or_by_the_broker(
    late_s: float, clock: str, broker_s: int | None, *, runs: bool
) -> None:
    status = {"synchronised": "synchronised", "unknown": "unknown"}.get(clock, "unsynchronised")
    late = has_expired(command("version"), NOW + timedelta(seconds=late_s), status, broker_s)  # type: ignore[arg-type]
    assert (late is None) == runs
