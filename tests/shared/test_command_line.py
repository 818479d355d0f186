"""JSON that any reader takes, UTF-8 whatever the locale, `~` in arguments and settings."""

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.settings import EdgeSettings
from hub.settings import HubSettings
from shared.command_line import prepare, to_json
from shared.errors import InvalidError
from shared.paths import expanded, printable
from shared.settings import load_settings

ROOT = Path(__file__).parents[2]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(values)
def test_any_document_is_json(document: object) -> None:
    json.loads(to_json(document), parse_constant=refuse)


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert to_json({"a": math.nan, "b": (math.inf, 1.5), "c": [{"d": -math.inf}]}) == (
        '{"a": null, "b": [null, 1.5], "c": [{"d": null}]}'
    )


def test_every_command_writes_json_in_one_way() -> None:
    for package in ("edge", "hub"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                    "typer.echo",
                    "print",
                    "sys.stdout.write",
                }:
                    assert "json.dumps" not in ast.unparse(node), f"{path}: use shared.command_line.to_json"


def test_home_is_expanded_in_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    raw = ["--config=~/a.toml", "~/b", "--set", "x.y=~/c", "--note", "~ maybe", "a~/b"]
    assert prepare(raw) == [
        "--config=/home/me/a.toml",
        "/home/me/b",
        "--set",
        "x.y=~/c",
        "--note",
        "~ maybe",
        "a~/b",
    ]


def test_home_is_expanded_in_every_path_of_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config = tmp_path / "edge.toml"
    config.write_text('[spool]\npath = "~/spool.db"\n[mqtt]\ntls = true\nca_file = "~/ca.crt"\n')
    monkeypatch.setenv("EARWITNESS_EDGE_MQTT__PASSWORD_FILE", "~/password")
    edge = load_settings(EdgeSettings, config, ["source.kind=files", "source.path=~/clips"])
    assert (edge.spool.path, edge.source.path) == (Path("/home/me/spool.db"), Path("/home/me/clips"))
    assert (edge.mqtt.ca_file, edge.mqtt.password_file) == (Path("/home/me/ca.crt"), Path("/home/me/password"))
    flags = ["store.audio_dir=~/kept", 'model.checkpoints=["~/a.safetensors", "/b"]']
    hub = load_settings(HubSettings, None, flags)
    assert hub.store.audio_dir == Path("/home/me/kept")
    assert hub.model.checkpoints == (Path("/home/me/a.safetensors"), Path("/b"))
    config.write_text('[notify.webhooks.x]\nurl = "http://x"\nsecret_file = "~/key"\n')
    assert load_settings(HubSettings, config, []).notify.webhooks["x"].secret_file == Path("/home/me/key")


def test_a_home_that_is_unknown_is_reported() -> None:
    with pytest.raises(InvalidError, match=r"~no-such-user/x: .* set HOME, or give"):
        expanded(Path("~no-such-user/x"))
    with pytest.raises(InvalidError, match=r"source\.path: .*no home directory"):
        load_settings(EdgeSettings, None, ["source.path=~no-such-user/x"])
    with pytest.raises(ValidationError):
        EdgeSettings.model_validate({"spool": {"path": "~no-such-user/x"}})


@pytest.mark.parametrize(
    ("name", "reported"),
    [(b"a\nb\x1b[0m", "a\\nb\\x1b[0m"), (b"caf\xe9", "caf\\xe9"), ("Brücke 日".encode(), "Brücke 日")],
)
def test_any_name_is_one_line_of_text(name: bytes, reported: str) -> None:
    assert printable(os.fsdecode(name)) == reported


def program(*arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """A program in a locale of ASCII, which Python does not repair."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EARWITNESS")}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, env={**clean, **plain, **env}, capture_output=True, check=False, timeout=120)


def test_what_config_writes_check_reads_in_a_locale_of_ascii(tmp_path: Path) -> None:
    written = program("edge", "config", "show", "--set", "sensor.name=corner")
    assert written.returncode == 0, written.stderr
    assert "re 20 \N{MICRO SIGN}Pa" in written.stdout.decode("utf-8")
    (tmp_path / "edge.toml").write_bytes(written.stdout)
    flags = ("--set", "mqtt.port=1", "--set", f"spool.path={tmp_path / 's.db'}")
    checked = program("edge", "check", "--config", str(tmp_path / "edge.toml"), *flags)
    assert b"corner" in checked.stdout
    assert b"Traceback" not in checked.stderr


def test_a_deployment_is_made_in_a_locale_of_ascii(tmp_path: Path) -> None:
    made = program(
        "hub",
        "deployment",
        "create",
        str(tmp_path / "noise"),
        "--broker",
        "broker.example",
        "--sensor",
        "harbour/street-1",
    )
    assert made.returncode == 0, made.stderr
    assert "\N{MICRO SIGN}Pa" in (tmp_path / "noise/sensors/harbour/street-1/edge.toml").read_text(encoding="utf-8")


def test_names_in_a_locale_of_ascii_do_not_end_a_check(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in (b"caf\xe9.wav", "Brücke.wav".encode()):
        (folder / os.fsdecode(name)).write_bytes(b"404")
    flags = ("source.kind=files", f"source.path={folder}", "mqtt.port=1", f"spool.path={tmp_path / 's.db'}")
    checked = program("edge", "check", *(part for flag in flags for part in ("--set", flag)))
    assert b"Traceback" not in checked.stderr
    assert b"2 cannot be read" in checked.stdout


def test_a_user_without_a_home_gets_an_error_with_what_to_set() -> None:
    env = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith("EARWITNESS")}
    flags = {"EARWITNESS_HUB_MQTT__PORT": "1", "EARWITNESS_HUB_REDIS__URL": "redis://127.0.0.1:1/0"}
    no_one = "import os, runpy; os.getuid = lambda: 54321; runpy.run_module('hub', run_name='__main__')"
    command = [sys.executable, "-c", no_one, "check", "--json"]
    ran = subprocess.run(command, env={**env, **flags}, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in ran.stderr, ran.stderr
    words = {one["name"]: one["text"] for one in json.loads(ran.stdout)["checks"]}
    assert "set HOME, or give an absolute path" in words["models"]
