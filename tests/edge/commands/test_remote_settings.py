"""The file with the settings that hubs changed, and its trials."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.commands.remote_settings import REMEMBERED, RemoteSettings, RemoteState
from shared.commands import ReplyMessage
from shared.errors import InvalidError, UnavailableError


def flags(folder: Path, *more: str) -> list[str]:
    return [f"spool.path={folder / 'spool.db'}", "commands.enabled=true", *more]


def reply(number: int = 0) -> ReplyMessage:
    return ReplyMessage(
        id=f"{number:016x}",
        site="demo",
        sensor="sensor-1",
        boot="boot",
        action="change-settings",
        status="accepted",
        at=datetime.now(UTC),
    )


def with_trial(folder: Path, overrides: dict[str, str]) -> RemoteSettings:
    """As after a change of settings, before the restart."""
    remote = RemoteSettings(None, flags(folder))
    remote.save(remote.state.with_trial(reply().id, overrides).with_reply(reply()))
    return remote


def test_without_a_file_the_sensors_own_settings_apply(tmp_path: Path) -> None:
    remote = RemoteSettings(None, flags(tmp_path, "log.level=error"))
    remote.begin()
    assert remote.settings.log.level == "error"
    assert not remote.path.exists()


def test_a_change_overrides_flags_in_the_next_run(tmp_path: Path) -> None:
    with_trial(tmp_path, {"log.level": "debug"})
    remote = RemoteSettings(None, flags(tmp_path, "log.level=error"))
    remote.begin()
    assert remote.settings.log.level == "debug"
    assert remote.state.trial is not None
    assert remote.state.trial.started


def test_a_start_after_an_interrupted_trial_restores_the_settings_before(tmp_path: Path) -> None:
    with_trial(tmp_path, {"mqtt.port": "1"})
    RemoteSettings(None, flags(tmp_path)).begin()
    again = RemoteSettings(None, flags(tmp_path))
    again.begin()
    assert again.settings.mqtt.port == 1883
    assert again.state.trial is None
    answer = again.state.reply_to(reply().id)
    assert answer is not None
    assert answer.status == "rolled-back"
    assert again.state.unsent == [reply().id]


def test_a_check_starts_no_trial(tmp_path: Path) -> None:
    with_trial(tmp_path, {"mqtt.port": "1"})
    before = RemoteSettings(None, flags(tmp_path)).path.read_bytes()
    assert RemoteSettings(None, flags(tmp_path)).path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"overrides": {"x": 1}}', b"\xff\xfe"])
def test_a_damaged_file_has_no_effect(tmp_path: Path, content: bytes) -> None:
    path = RemoteSettings(None, flags(tmp_path)).path
    path.write_bytes(content)
    remote = RemoteSettings(None, flags(tmp_path))
    remote.begin()
    assert remote.state == RemoteState()


def test_a_change_that_a_newer_version_does_not_know_has_no_effect(tmp_path: Path) -> None:
    remote = RemoteSettings(None, flags(tmp_path))
    remote.save(RemoteState(overrides={"gone.setting": "1"}))
    assert RemoteSettings(None, flags(tmp_path)).settings.commands.enabled


def test_without_commands_the_file_has_no_effect(tmp_path: Path) -> None:
    with_trial(tmp_path, {"log.level": "debug"})
    off = RemoteSettings(None, [f"spool.path={tmp_path / 'spool.db'}"])
    off.begin()
    assert off.settings.log.level == "info"


def test_a_disk_that_takes_nothing_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    remote = RemoteSettings(None, flags(tmp_path))
    remote.path.with_name(f"{remote.path.name}.partial").mkdir()
    with pytest.raises(UnavailableError):
        remote.save(RemoteState(overrides={"log.level": "debug"}))
    assert remote.state == RemoteState()


def test_the_latest_commands_are_remembered(tmp_path: Path) -> None:
    state = RemoteState()
    for number in range(REMEMBERED + 5):
        state = state.with_reply(reply(number))
    assert len(state.replies) == len(state.unsent) == REMEMBERED
    assert state.reply_to(reply(4).id) is None
    assert state.reply_to(reply(5).id) is not None
    remote = RemoteSettings(None, flags(tmp_path))
    remote.save(state)
    assert RemoteSettings(None, flags(tmp_path)).state == state


def test_invalid_settings_of_the_sensor_itself_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        RemoteSettings(None, flags(tmp_path, "mqtt.port=0"))
