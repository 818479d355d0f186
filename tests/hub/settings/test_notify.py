"""Settings of notification channels: errors are in words, and no secret is shown."""

import json
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.notify.rendering import MessageRenderer
from hub.notify.service import build_channels
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.settings import load_settings
from tests.factories import alert

ROOT = Path(__file__).parents[3]
UTC = ZoneInfo("UTC")
FULL = """
[notify]
expire_after_s = 3600
[web]
public_url = "https://noise.example"

[notify.webhooks.ops]
url = "https://user:hidden1@ops.example/hook/hidden2"
secret = "hidden3"
min_severity = "recurring"
sites = ["demo"]
quiet_hours = "22:00-06:00"
digest_time = "12:00"
max_per_day = 5

[notify.alertmanagers.prometheus]
url = "http://127.0.0.1:9093"

[notify.apprise.inspectors]
url = "mailto://user:hidden4@mail.example?to=a@b.example"
"""


def settings(folder: Path, text: str) -> HubSettings:
    config = folder / "hub.toml"
    config.write_text(text)
    return load_settings(HubSettings, config, [])


def test_every_way_of_the_settings_is_opened(tmp_path: Path) -> None:
    given = settings(tmp_path, FULL)
    ways = build_channels(given.notify, UTC, HubSettings().web.public_url)
    assert [(way.name, way.kind) for way in ways] == [
        ("ops", "webhook"),
        ("prometheus", "alertmanager"),
        ("inspectors", "apprise"),
    ]
    rules = ways[0].rules
    assert rules.least == "recurring"
    assert rules.sites == frozenset({"demo"})
    assert rules.max_per_day == 5
    assert [way.rules.max_per_day for way in ways[1:]] == [None, 20]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    given = settings(tmp_path, FULL)
    assert "hidden" not in json.dumps(given.model_dump(mode="json")) + repr(given)


def test_there_is_none_by_default() -> None:
    assert build_channels(HubSettings().notify, UTC, HubSettings().web.public_url) == []


def test_a_way_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARWITNESS_HUB_NOTIFY__WEBHOOKS__OPS__SECRET", "from-outside")
    given = settings(tmp_path, '[notify.webhooks.ops]\nurl = "http://ops.example"\n')
    assert given.notify.webhooks["ops"].key() == b"from-outside"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"url": '"ftp://ops.example"'}, "webhooks.ops.url.*http"),
        ({"url": '"https://"'}, "webhooks.ops.url.*http"),
        ({"url": '"https://a..b/"'}, "webhooks.ops.url.*http"),
        ({"min_severity": '"bad"'}, "min_severity.*'notice', 'recurring' or 'urgent'"),
        ({"quiet_hours": '"22-6"'}, "quiet_hours.*22:00-06:00|quiet_hours.*08:00"),
        ({"digest_time": '"8"'}, "digest_time.*08:00"),
        ({"quiet_hours": '"22:00-06:00"', "digest_time": '"23:00"'}, "digest_time 23:00 lies in quiet_hours"),
        ({"max_per_day": "-1"}, "max_per_day"),
        ({"sites": '["Demo"]'}, "sites"),
        ({"secret": '"a"', "secret_file": '"b"'}, "secret or secret_file"),
        ({"colour": '"red"'}, "colour"),
    ],
)
def test_a_wrong_setting_is_sent_by_its_name_and_without_its_value(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    rows = {"url": '"https://ops.example/hidden"', **changed}
    text = "[notify.webhooks.ops]\n" + "\n".join(f"{name} = {value}" for name, value in rows.items())
    with pytest.raises(InvalidError, match=reason) as caught:
        settings(tmp_path, text)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '[notify.webhooks.mqtt]\nurl = "http://a"',
        '[notify.webhooks.ops]\nurl = "http://a"\n[notify.apprise.ops]\nurl = "json://a"',
    ],
)
def test_a_name_belongs_to_one_way(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidError, match="must be unique"):
        settings(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[notify.apprise.chat]\nurl = "nonsense://hidden"', "notify.apprise.chat: Apprise does not know this url"),
        (
            '[notify.webhooks.ops]\nurl = "http://a"\nsecret_file = "none"',
            "notify.webhooks.ops: cannot read secret_f",
        ),
        ('[notify.webhooks.ops]\nurl = "http://a"\nca_file = "none"', "notify.webhooks.ops: ca_file none cannot"),
        ('[notify.webhooks.ops]\nurl = "http://a"\ntemplate = "none"', "notify.webhooks.ops: template none cannot"),
    ],
)
def test_what_cannot_be_opened_is_sent_by_its_name(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidError, match=reason) as caught:
        build_channels(settings(tmp_path, text).notify, UTC, HubSettings().web.public_url)
    assert "hidden" not in str(caught.value)


def test_the_key_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\nrest")
    given = settings(tmp_path, f'[notify.webhooks.ops]\nurl = "http://a"\nsecret_file = "{tmp_path / "key"}"')
    assert given.notify.webhooks["ops"].key() == b"s3cret"
    (tmp_path / "key").write_text("\n")
    with pytest.raises(InvalidError, match="empty"):
        given.notify.webhooks["ops"].key()


def documented(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    return str(block)


def test_the_settings_of_the_documentation_work(tmp_path: Path) -> None:
    (tmp_path / "webhook.key").write_text("s3cret\n")
    text = documented("toml").replace("/etc/earwitness/", f"{tmp_path}/")
    ways = build_channels(settings(tmp_path, text).notify, UTC, HubSettings().web.public_url)
    assert [way.name for way in ways] == ["ticketing", "prometheus", "inspectors"]


def test_the_template_of_the_documentation_works(tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_text(documented("jinja"))
    text = MessageRenderer(UTC, "http://h", alert=tmp_path / "own.j2").text([alert()])
    assert text.title == "dog in demo (notice)"
    assert text.body == "Recorded by street-1, Mon 1 Jun 12:00.\nhttp://h/alerts/demo.street-1.boot.0"
