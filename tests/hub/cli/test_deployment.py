"""`earwitness-hub deployment create`: what it writes, what it refuses, and that it explains itself."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from edge.settings import EdgeSettings
from hub.deployment.bundle import IMPORTANT
from hub.deployment.certificate_authority import CLIENT_DAYS, SERVER_DAYS, Authority
from hub.deployment.sensors import render_edge_toml
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.settings import load_settings
from shared.settings_file import render_settings_file
from tests.deployment import CreatedDeployment, init
from tests.programs import program

SECRETS = {"hub.toml", "users.acl", "redis.operator.password", "alertmanager.yml", "grafana.password"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that tests read only."""
    return CreatedDeployment(tmp_path_factory.mktemp("init") / "noise").folder


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def hosts(path: Path) -> list[str]:
    names = certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_keys_and_passwords_are_the_owners_alone(founded: Path) -> None:
    secret = [path for path in founded.rglob("*") if path.suffix == ".key" or path.name in SECRETS]
    assert len(secret) > 8
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((founded / "ca").stat().st_mode) == 0o700
    words = [path for path in contents(founded) if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.suffix for path in words} == {".key"}


def test_the_hubs_settings_name_every_group_and_every_setting(founded: Path) -> None:
    text = (founded / "hub" / "hub.toml").read_text()
    assert set(tomllib.loads(text)) == set(HubSettings.model_fields)
    for group, field in HubSettings.model_fields.items():
        assert f"[{group}]" in text
        assert field.annotation is not None
        for name in field.annotation.model_fields:
            assert name in text
    for group, names in IMPORTANT.items():
        annotation = HubSettings.model_fields[group].annotation
        assert annotation is not None
        assert set(names) <= set(annotation.model_fields)


def test_a_default_shown_as_a_comment_is_a_setting_without_its_hash(founded: Path, tmp_path: Path) -> None:
    lines = (founded / "hub" / "hub.toml").read_text().splitlines()
    shown = [line[2:] if line.startswith("# ") and " = " in line and '= ""' not in line else line for line in lines]
    (tmp_path / "hub.toml").write_text("\n".join(shown))
    assert load_settings(HubSettings, tmp_path / "hub.toml", []) == load_settings(
        HubSettings, founded / "hub" / "hub.toml", []
    )


def test_values_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    values: dict[str, dict[str, object]] = {
        "model": {"checkpoints": (Path('/a "quoted"\\path'), Path("/ü"))},
        "features": {"space": "vggish"},
        "sites": {"sensor_positions": {"harbour/street-1": (53.5, -9.9)}, "timezone": "Europe/Berlin"},
        "redis": {"url": "redis://hub:p#ss@store:6379/0"},
        "search": {"candidates": 200},
        "notify": {"webhooks": {"ops": {"url": "https://x.example/1", "sites": ("harbour",)}}},
    }
    (tmp_path / "hub.toml").write_text(render_settings_file(HubSettings, values, IMPORTANT))
    read = load_settings(HubSettings, tmp_path / "hub.toml", [])
    assert read == HubSettings.model_validate(values)


def test_a_sensors_folder_is_all_it_needs(founded: Path) -> None:
    own = founded / "sensors" / "harbour" / "street-1"
    assert {path.name for path in own.iterdir()} == {"edge.toml", "servers.crt", "sensor.crt", "sensor.key"}
    settings = load_settings(EdgeSettings, own / "edge.toml", [])
    assert (settings.sensor.site, settings.sensor.name) == ("harbour", "street-1")
    assert settings.mqtt.tls
    for file in (settings.mqtt.ca_file, settings.mqtt.cert_file, settings.mqtt.key_file):
        assert file is not None
        assert file.parent == Path("/etc/earwitness")
        assert (own / file.name).exists()


def test_certificates_are_for_whom_they_should_be_and_for_how_long(tmp_path: Path) -> None:
    names = ("--broker", "broker.example", "--broker", "192.0.2.7", "--broker", "2001:db8::7")
    folder = tmp_path / "noise"
    assert init(str(folder), *names, "--sensor", "harbour/street-1")[0] == 0
    broker = folder / "mosquitto" / "broker.crt"
    assert hosts(broker) == ["broker.example", "192.0.2.7", "2001:db8::7", "127.0.0.1", "localhost"]
    sensor = folder / "sensors" / "harbour" / "street-1" / "sensor.crt"
    assert certificate(sensor).subject.rfc4514_string() == "CN=harbour/street-1"
    now = datetime.now(UTC)
    for path, days in ((broker, SERVER_DAYS), (sensor, CLIENT_DAYS)):
        found = certificate(path)
        assert found.not_valid_before_utc < now - timedelta(hours=23)
        assert abs(found.not_valid_after_utc - now - timedelta(days=days)) < timedelta(minutes=5)
    certificate(broker).verify_directly_issued_by(certificate(folder / "ca" / "servers.crt"))
    certificate(sensor).verify_directly_issued_by(certificate(folder / "ca" / "sensors.crt"))
    assert load_settings(EdgeSettings, sensor.with_name("edge.toml"), []).mqtt.host == "broker.example"


def test_a_further_name_of_the_broker_comes_with_a_new_certificate(tmp_path: Path) -> None:
    folder = CreatedDeployment(tmp_path / "noise").folder
    assert init(str(folder), "--renew", "--broker", "broker.example")[0] == 0
    assert hosts(folder / "mosquitto" / "broker.crt") == ["localhost", "127.0.0.1", "broker.example"]


def test_openssl_is_content_even_where_it_is_strict(founded: Path) -> None:
    openssl = program("openssl")
    for authority, leaf, purpose in (
        ("servers", "mosquitto/broker.crt", "sslserver"),
        ("servers", "hub/hub.crt", "sslclient"),
        ("sensors", "sensors/harbour/street-1/sensor.crt", "sslclient"),
    ):
        ca = founded / "ca"
        files = ("-CAfile", str(ca / f"{authority}.crt"), "-CRLfile", str(ca / f"{authority}.crl"))
        command = [
            openssl,
            "verify",
            "-x509_strict",
            "-crl_check",
            "-purpose",
            purpose,
            *files,
            str(founded / leaf),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_nothing_that_is_there_is_overwritten(founded: Path) -> None:
    before = contents(founded)
    for arguments, words in (
        (("--broker", "broker.example"), "exists already; nothing was written"),
        (("--sensor", "harbour/street-1", "--renew", "--broker", "b.example"), "give one of them"),
        ((), "give the sensors to add"),
        (("--sensor", "harbour/street-9", "--port", "web=8081"), "No such option"),
        (
            ("--renew", "--layout", "here", "--public-url", "https://x.example"),
            "No such option",
        ),
        (
            ("--revoke", "harbour/street-1", "--timezone", "UTC", "--webhook", "http://x.example"),
            "No such option",
        ),
        (("--renew", "--broker", "https://broker.example"), "without mqtts:// and port"),
        (("--sensor", "street-1"), "write a sensor as site/sensor"),
        (("--sensor", "Harbour/street-1"), "site 'Harbour' must match"),
        (("--sensor", f"harbour/{'s' * 60}"), "at most 64"),
        (("--sensors", "/nowhere/list"), "cannot read /nowhere/list"),
        (("--revoke", "harbour/street-9"), "cannot read"),
    ):
        code, printed = init(str(founded), *arguments)
        assert code == 2
        assert words in printed
        assert "Traceback" not in printed
    assert contents(founded) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--broker NAME"),
        *(
            (("--broker", host), "neither a host's name in ASCII nor an address")
            for host in ("brücke.example", "", "a b", "mqtts://broker.example", "broker.example:8883", "192.0.2.300")
        ),
        (("--broker", "-x.example"), "neither a host's name"),
        (("--broker", "x", "--broker", f"{'x' * 64}.example"), "neither a host's name"),
        (("--broker", "x", "--port", "web=0"), "write NAME=NUMBER"),
        (("--broker", "x", "--port", "smtp=25"), "write NAME=NUMBER"),
        (("--broker", "x", "--timezone", "Mars/Olympus"), "is not an IANA time zone"),
        (("--broker", "x", "--sensor", "nowhere"), "write a sensor as site/sensor"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, printed = init(str(tmp_path / "noise"), *arguments)
    assert code == 2, printed
    assert words in printed
    assert list(tmp_path.iterdir()) == []


def test_containers_do_not_run_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (str(tmp_path / "noise"), "--broker", "broker.example", "--layout", "containers")
    monkeypatch.setattr("os.getuid", lambda: 0)
    code, printed = init(*arguments)
    assert code == 2
    assert "Run the command as another user" in printed
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("os.getuid", lambda: 10_001)
    assert init(*arguments)[0] == 0
    environment = (tmp_path / "noise" / "compose.env").read_text()
    assert "EARWITNESS_USER=10001:" in environment
    assert "COMPOSE_PROJECT_NAME=earwitness\n" in environment  # else it would be that of the folder, `deploy`


def test_a_folder_that_configurations_cannot_name_is_reported(tmp_path: Path) -> None:
    code, printed = init(str(tmp_path / "the noise"), "--broker", "broker.example")
    assert code == 2
    assert "has white space" in printed
    assert list(tmp_path.iterdir()) == []


def test_each_servers_folder_has_no_other_servers_secrets(founded: Path) -> None:
    """Whole folders become a server's secret in Kubernetes."""
    assert {path.name for path in (founded / "redis").iterdir()} == {"redis.conf", "users.acl"}


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, printed = init(str(tmp_path / "file" / "noise"), "--broker", "broker.example")
    assert code == 2
    assert "cannot be written" in printed


def test_five_hundred_sensors_come_from_a_list(tmp_path: Path) -> None:
    sensors = [f"harbour/street-{number}" for number in range(500)]
    (tmp_path / "list").write_text("# all of them\n\n" + "\n".join(sensors) + "  # the last\n")
    folder = tmp_path / "noise"
    code, printed = init(str(folder), "--broker", "broker.example", "--sensors", str(tmp_path / "list"), "--json")
    assert code == 0
    assert json.loads(printed)["sensors"] == sensors
    assert len(list(folder.glob("sensors/harbour/*/sensor.key"))) == 500
    serials = {certificate(path).serial_number for path in folder.glob("sensors/harbour/*/sensor.crt")}
    assert len(serials) == 500


def test_what_sensors_settings_are_made_from_can_be_edited(tmp_path: Path) -> None:
    folder = CreatedDeployment(tmp_path / "noise").folder
    template = folder / "sensors" / "edge.toml"
    template.write_text(template.read_text().replace('kind = "microphone"', 'kind = "synthetic"'))
    assert init(str(folder), "--sensor", "harbour/street-3")[0] == 0
    assert load_settings(EdgeSettings, folder / "sensors/harbour/street-3/edge.toml", []).source.kind == "synthetic"
    with pytest.raises(InvalidError, match='needs the line site = "site" once'):
        render_edge_toml('[sensor]\nname = "sensor"\n', "harbour", "street-4")


def test_revoked_certificates_stay_on_the_list(tmp_path: Path) -> None:
    folder = CreatedDeployment(tmp_path / "noise").folder
    for _ in range(2):
        for sensor in ("harbour/street-1", "harbour/street-2"):
            assert init(str(folder), "--revoke", sensor)[0] == 0
    crl = x509.load_pem_x509_crl((folder / "mosquitto" / "sensors.crl").read_bytes())
    own = folder / "sensors" / "harbour"
    expected = {certificate(own / name / "sensor.crt").serial_number for name in ("street-1", "street-2")}
    assert {entry.serial_number for entry in crl} == expected
    assert crl.next_update_utc == certificate(folder / "ca" / "sensors.crt").not_valid_after_utc
    authority = Authority.create("another", datetime.now(UTC))
    with pytest.raises(InvalidError, match="not a certificate of this authority"):
        authority.revoke((own / "street-1" / "sensor.crt").read_bytes(), datetime.now(UTC))


@pytest.mark.parametrize("older", [False, True])
def test_a_sensor_is_shut_out_by_every_certificate_it_ever_had(tmp_path: Path, older: bool) -> None:
    folder = CreatedDeployment(tmp_path / "noise").folder
    own = folder / "sensors" / "harbour" / "street-1" / "sensor.crt"
    if older:
        shutil.rmtree(folder / "ca" / "issued")  # as a version that kept none of them left it
    serials = {certificate(own).serial_number}
    for _ in range(2):
        assert init(str(folder), "--sensor", "harbour/street-1", "--renew")[0] == 0
        serials.add(certificate(own).serial_number)
    assert init(str(folder), "--revoke", "harbour/street-1")[0] == 0
    crl = x509.load_pem_x509_crl((folder / "mosquitto" / "sensors.crl").read_bytes())
    assert {entry.serial_number for entry in crl} == serials
    assert len(serials) == 3


def test_a_damaged_authority_is_reported(tmp_path: Path) -> None:
    folder = CreatedDeployment(tmp_path / "noise").folder
    (folder / "ca" / "sensors.key").write_text("nothing")
    code, printed = init(str(folder), "--sensor", "harbour/street-3")
    assert code == 2
    assert "is damaged" in printed
    (folder / "ca" / "sensors.key").unlink()
    code, printed = init(str(folder), "--sensor", "harbour/street-3")
    assert code == 2
    assert "sensors.key cannot be read" in printed


def test_what_to_do_next_is_written(founded: Path) -> None:
    words = (founded / "NEXT.md").read_text()
    for command in (
        "deployment add-sensor",
        "deployment renew",
        "deployment revoke",
        "earwitness-hub check",
        "earwitness-edge check",
        "ca/",
    ):
        assert command in words
    assert "{{" not in words


def test_the_edges_template_is_made_by_the_edge_whatever_the_environment(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hub",
        "deployment",
        "create",
        str(tmp_path / "noise"),
        "--broker",
        "broker.example",
    ]
    environment = {**os.environ, "EARWITNESS_EDGE_MQTT__HOST": "stray", "EARWITNESS_HUB_MQTT__HOST": "stray"}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=60)
    template = tmp_path / "noise" / "sensors" / "edge.toml"
    assert "stray" not in template.read_text() + (tmp_path / "noise" / "hub" / "hub.toml").read_text()
    assert set(tomllib.loads(template.read_text())) == set(EdgeSettings.model_fields)


def test_a_list_of_sensors_may_hold_those_that_are_there(tmp_path: Path) -> None:
    folder = CreatedDeployment(tmp_path / "noise").folder
    before = (folder / "sensors" / "harbour" / "street-1" / "sensor.crt").read_bytes()
    names = tmp_path / "sensors.txt"
    names.write_text("harbour/street-1\nharbour/street-9\n")
    code, printed = init(str(folder), "--sensors", str(names))
    assert code == 0, printed
    assert "1 sensors existed and stay unchanged" in printed
    assert (folder / "sensors" / "harbour" / "street-9" / "sensor.crt").exists()
    assert (folder / "sensors" / "harbour" / "street-1" / "sensor.crt").read_bytes() == before
