from pathlib import Path

import pytest
from pydantic import SecretStr

from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.settings import MqttSettings, load_settings, unknown_env_vars


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('[mqtt]\nhost = "file"\nport = 1\nkeepalive_s = 7\n')
    monkeypatch.setenv("EARWITNESS_HUB_MQTT__HOST", "environment")
    monkeypatch.setenv("EARWITNESS_HUB_MQTT__PORT", "2")
    mqtt = load_settings(HubSettings, file, ["mqtt.port=3"]).mqtt
    assert (mqtt.host, mqtt.port, mqtt.keepalive_s, mqtt.tls) == ("environment", 3, 7, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[mqt]\nport = 1", "unknown groups"),
        ("[mqtt]\nprot = 1", "mqtt.prot"),
        ("[mqtt]\nport = 70000", "mqtt.port"),
        ("[mqtt", "not valid TOML"),
        ('[mqtt]\nca_file = "x"', "tls = true"),
    ],
)
def test_a_mistake_in_the_file_is_reported_in_words(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(text)
    with pytest.raises(InvalidError, match=reason):
        load_settings(HubSettings, file, [])


@pytest.mark.parametrize("flag", ["mqtt.port", "port=1", "mqt.port=1", "mqtt.port=x", "mqtt.prot=1"])
def test_a_mistaken_flag_is_reported_in_words(flag: str) -> None:
    with pytest.raises(InvalidError, match=r"mqtt|group\.field=value"):
        load_settings(HubSettings, None, [flag])


def test_a_missing_file_is_reported_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="cannot read"):
        load_settings(HubSettings, tmp_path / "none.toml", [])


def test_variables_that_name_no_group_are_found() -> None:
    names = {"EARWITNESS_HUB_MQTT__HOST": "a", "EARWITNESS_HUB_MQT__HOST": "b", "PATH": "c"}
    assert unknown_env_vars(HubSettings, names) == ["EARWITNESS_HUB_MQT__HOST"]


def test_a_connection_for_a_moment_leaves_no_session_behind() -> None:
    mqtt = MqttSettings(host="broker.example", username="me")
    assert mqtt.without_session() == mqtt.model_copy(update={"session_expiry_s": 0})


def test_the_password_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    assert MqttSettings(password_file=file).resolve_password() == "hunter2"
    direct = MqttSettings(password=SecretStr("hunter2"))
    assert "hunter2" not in repr(direct)
    assert "hunter2" not in direct.model_dump_json()
    with pytest.raises(InvalidError, match="password_file"):
        MqttSettings(password_file=tmp_path / "none").resolve_password()


@pytest.mark.parametrize("written", ['["a.toml", "b.toml"]', "['a.toml','b.toml']"])
def test_a_list_is_written_on_the_command_line_as_in_the_file(written: str, tmp_path: Path) -> None:
    paths = (Path("a.toml"), Path("b.toml"))
    assert load_settings(HubSettings, None, [f"features.extra_backbones={written}"]).features.extra_backbones == paths
    (tmp_path / "c.toml").write_text(f"[features]\nextra_backbones = {written}\n")
    assert load_settings(HubSettings, tmp_path / "c.toml", []).features.extra_backbones == paths


def test_a_list_that_is_none_is_reported() -> None:
    for wrong in ("a.toml", "[a.toml"):
        with pytest.raises(InvalidError, match=r"features\.extra_backbones"):
            load_settings(HubSettings, None, [f"features.extra_backbones={wrong}"])
