"""Notification channels and real servers: HTTP receivers, Alertmanager, mail, a whole hub that raises an alert."""

import json
import logging
import re
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.notify.channels.alertmanager import PATH, Alertmanager
from hub.notify.channels.apprise import Apprise
from hub.notify.channels.protocol import RetryAfterError
from hub.notify.channels.webhook import Webhook, delivery_id
from hub.notify.http import ANSWER_CAP_BYTES, RETRY_AFTER_CAP_S, JsonPoster
from hub.notify.outbox import Outbox
from hub.notify.rendering import RenderedMessage
from hub.store.events import EventStore
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId
from tests.factories import NOON, alert
from tests.fake_receivers import AlertmanagerProcess, Answer, Mailbox, Receiver, TellingHub, certificate, receiving
from tests.server_processes import Broker, EdgeProcess, Store, eventually, write_embeddings

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[4]
TEXT = RenderedMessage("dog at demo/street-1, 12:00", "It barked.", "http://hub/alerts/demo.street-1.boot.0")
KEY = b"a shared secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def webhook(url: str, key: bytes | None = KEY, timeout_s: float = 5.0) -> Webhook:
    return Webhook(JsonPoster(url, timeout_s=timeout_s), key)


def test_a_webhook_is_sent_the_alert_in_full(receiver: Receiver) -> None:
    webhook(f"{receiver.url}/hooks/1?token=x").send([alert()], TEXT)
    (posted,) = receiver.posted
    assert posted.path == "/hooks/1?token=x"
    assert posted.headers["content-type"] == "application/json"
    body = json.loads(posted.body)
    assert (body["version"], body["title"], body["text"], body["page"]) == (1, TEXT.title, TEXT.body, TEXT.page)
    assert body["alerts"] == [alert().model_dump(mode="json")]
    assert body["delivery"] == posted.headers["earwitness-delivery"]


def test_the_check_of_a_signature_in_the_documentation_works(receiver: Receiver) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - our own documentation
    webhook(receiver.url).send([alert()], TEXT)
    (posted,) = receiver.posted
    headers = {name.title(): value for name, value in posted.headers.items()}
    assert names["is_genuine"](KEY, headers, posted.body)
    assert not names["is_genuine"](b"another secret", headers, posted.body)
    assert not names["is_genuine"](KEY, headers, posted.body + b" ")
    later = {**headers, "Earwitness-Timestamp": str(int(headers["Earwitness-Timestamp"]) + 1)}
    assert not names["is_genuine"](KEY, later, posted.body)
    old = Webhook(JsonPoster(receiver.url, timeout_s=5), KEY, now=lambda: datetime.now(UTC) - timedelta(hours=1))
    old.send([alert()], TEXT)
    replayed = {name.title(): value for name, value in receiver.posted[1].headers.items()}
    assert not names["is_genuine"](KEY, replayed, receiver.posted[1].body)


def test_without_a_secret_there_is_no_signature(receiver: Receiver) -> None:
    webhook(receiver.url, None).send([alert()], TEXT)
    assert "earwitness-signature" not in receiver.posted[0].headers


def test_a_delivery_has_the_same_name_whenever_it_is_sent(receiver: Receiver) -> None:
    for alerts in ([alert()], [alert()], [alert(), alert("demo.street-1.boot.1")]):
        webhook(receiver.url).send(alerts, TEXT)
    first, again, other = (posted.headers["earwitness-delivery"] for posted in receiver.posted)
    assert first == again == delivery_id([alert()])
    assert other != first


def test_a_name_and_password_in_the_address_log_in(receiver: Receiver) -> None:
    webhook(receiver.url.replace("//", "//me:p%40ss@") + "/x").send([alert()], TEXT)
    assert receiver.posted[0].headers["authorization"] == "Basic bWU6cEBzcw=="
    assert receiver.posted[0].headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_a_refusal_is_for_good(receiver: Receiver, status: int) -> None:
    receiver.always = Answer(status, body=b"go\n\x1b[2J[/red]away")
    with pytest.raises(InvalidError, match=rf"127.0.0.1:{receiver.port} answered {status}.*: go \[2J\[/red\]away"):
        webhook(f"{receiver.url}/secret-token").send([alert()], TEXT)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_error_of_theirs_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.always = Answer(status)
    with pytest.raises(UnavailableError, match=f"answered {status}") as caught:
        webhook(f"{receiver.url}/secret-token").send([alert()], TEXT)
    assert not isinstance(caught.value, RetryAfterError)
    assert "secret-token" not in str(caught.value)


def test_a_receiver_that_asks_for_patience_gets_it(receiver: Receiver) -> None:
    at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    asked = ["7", "0", format_datetime(at + timedelta(seconds=90), usegmt=True), "99999999", "soon"]
    poster = JsonPoster(receiver.url, timeout_s=5, now=lambda: at)
    reported: list[float | None] = []
    for value in asked:
        receiver.answers.append(Answer(503, {"Retry-After": value}))
        with pytest.raises(UnavailableError) as caught:
            poster.post(b"{}")
        reported.append(caught.value.after_s if isinstance(caught.value, RetryAfterError) else None)
    assert reported == [7.0, 0.0, 90.0, RETRY_AFTER_CAP_S, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers.append(Answer(status, {"Location": f"{receiver.url}/elsewhere"}))
    with pytest.raises(UnavailableError, match="follows no redirects"):
        webhook(receiver.url).send([alert()], TEXT)
    assert len(receiver.posted) == 1


def test_the_path_of_an_address_is_in_no_log(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    webhook(f"{receiver.url}/secret-token").send([alert()], TEXT)
    assert "secret-token" not in caplog.text


def test_an_address_that_no_request_can_have_is_invalid() -> None:
    with pytest.raises(InvalidError, match="address cannot be used"):
        webhook("http://\udcff")


def test_of_a_long_answer_little_is_read(receiver: Receiver) -> None:
    receiver.always = Answer(400, body=b"x" * (100 * ANSWER_CAP_BYTES))
    with pytest.raises(InvalidError) as caught:
        webhook(receiver.url).send([alert()], TEXT)
    assert len(str(caught.value)) < 400


def test_a_receiver_that_hangs_or_is_away_is_unavailable(receiver: Receiver) -> None:
    receiver.always = Answer(hang=threading.Event())
    with pytest.raises(UnavailableError, match="does not answer: timed out"):
        webhook(receiver.url, timeout_s=0.2).send([alert()], TEXT)
    receiver.always.hang.set() if receiver.always.hang else None
    with pytest.raises(UnavailableError, match="does not answer"):
        webhook("http://127.0.0.1:1/secret-token").send([alert()], TEXT)


def test_certificates_are_verified(tmp_path: Path) -> None:
    ca, cert, key = certificate(tmp_path)
    with receiving(tls=(cert, key)) as receiver:
        with pytest.raises(UnavailableError, match="CERTIFICATE"):
            webhook(receiver.url).send([alert()], TEXT)
        assert receiver.posted == []
        Webhook(JsonPoster(receiver.url, timeout_s=5, ca_file=ca), KEY).send([alert()], TEXT)
        assert len(receiver.posted) == 1


def test_alerts_appear_in_alertmanager(tmp_path: Path) -> None:
    process = AlertmanagerProcess(tmp_path / "alertmanager")
    process.start()
    try:
        url = f"http://127.0.0.1:{process.port}{PATH}"
        received = datetime.now(UTC) - timedelta(minutes=5)
        reported = alert().model_copy(
            update={"captured_at": received, "severity": "urgent", "categories": ["dog", "music"]}
        )
        notifier = Alertmanager(JsonPoster(url, timeout_s=10), resolve_after_s=600)
        eventually(
            lambda: _taken(notifier, [reported, alert().model_copy(update={"sensor": "street-3"})]), 20, "taken"
        )
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = {one["labels"]["sensor"]: one for one in json.load(answer)}
    finally:
        process.stop()
    assert set(found) == {"street-1", "street-3"}
    one = found["street-1"]
    assert one["labels"] == {
        "alertname": "SimilarPastEvents",
        "site": "demo",
        "sensor": "street-1",
        "category": "dog",
        "severity": "urgent",
    }
    assert one["annotations"] == {"summary": TEXT.title, "description": TEXT.body, "page": TEXT.page}
    assert one["generatorURL"] == TEXT.page
    assert abs(datetime.fromisoformat(one["startsAt"]) - received) < timedelta(seconds=1)
    ends_in = datetime.fromisoformat(one["endsAt"]) - datetime.now(UTC)
    assert timedelta(seconds=500) < ends_in <= timedelta(seconds=600)


def _taken(notifier: Alertmanager, alerts: list[Any]) -> bool:
    """Whether Alertmanager, which answers 503 in its first moments, takes alerts."""
    try:
        notifier.send(alerts, TEXT)
    except UnavailableError:
        return False
    return True


def test_apprise_sends_and_reports_why_it_could_not(receiver: Receiver) -> None:
    notifier = Apprise(f"json://127.0.0.1:{receiver.port}/hidden", 10)
    notifier.send([alert()], TEXT)
    body = json.loads(receiver.posted[0].body)
    assert (body["title"], body["message"], body["type"]) == (TEXT.title, TEXT.body, "warning")
    notifier.send([alert().model_copy(update={"severity": "urgent"})], TEXT)
    assert json.loads(receiver.posted[1].body)["type"] == "failure"
    receiver.always = Answer(500)
    with pytest.raises(UnavailableError, match=r"Apprise could not send the message: .*500") as caught:
        notifier.send([alert()], TEXT)
    assert "hidden" not in str(caught.value)


def test_apprise_sends_mail() -> None:
    mailbox = Mailbox()
    url = f"mailto://127.0.0.1:{mailbox.port}?from=hub@noise.example&to=inspector@city.example&mode=insecure"
    with pytest.raises(UnavailableError, match="could not send"):
        Apprise(url, 10).send([alert()], TEXT)
    mailbox.start()
    try:
        Apprise(url, 10).send([alert()], TEXT)
    finally:
        mailbox.stop()
    (mail,) = mailbox.mails
    assert TEXT.title in str(mail["Subject"])
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert TEXT.body in plain.get_content()


def config_of(folder: Path, receiver: Receiver, redis_url: str) -> Path:
    path = folder / "hub.toml"
    path.write_text(f"""
[redis]
url = "{redis_url}"
[sites]
timezone = "Europe/Berlin"
[web]
public_url = "https://noise.example"
[notify.webhooks.ops]
url = "{receiver.url}/hook"
secret = "{KEY.decode()}"
max_per_day = 100000
[notify.webhooks.night]
url = "{receiver.url}/never"
max_per_day = 0
""")
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["notifications", *arguments])
    return result.exit_code, result.output


def test_a_hub_sends_a_webhook_what_it_detected_and_holds_what_is_to_be_held(
    tmp_path: Path, broker: Broker, store: Store, receiver: Receiver
) -> None:
    settings = [
        "search.exclude_same_sensor_s=1",
        "alerts.default_threshold=0",
        "alerts.min_category_probability=0",
        "alerts.min_shared_probability=0",
    ]
    config = config_of(tmp_path, receiver, store.url)
    hub = TellingHub(tmp_path / "hub", broker.port, store.url, *settings, config=config)
    hub.start()
    archive = EventStore(store.url)
    try:
        data = write_embeddings(tmp_path / "embeddings.npz", 30)
        source = ("source.kind=embeddings", f"source.path={data}", "source.speed=200", "sensor.site=test")
        for name in ("first", "second"):  # clips of one episode are no matches of each other
            own = (f"sensor.name={name}", "source.max_clips=30")
            EdgeProcess(tmp_path / name, broker.port, *source, *own).finish()
        eventually(lambda: archive.count() == 60 and archive.alerts.count() > 0, 60, "alerts are raised")
        eventually(lambda: len(receiver.taken) >= archive.alerts.count(), 30, "the webhook has them all")
        eventually(lambda: Outbox(archive.client, "night").held_count() == archive.alerts.count(), 30, "all is held")
        eventually(lambda: Outbox(archive.client, "mqtt").count() == 0, 30, "the broker has them all")
        total = "earwitness_hub_notifications_total"
        eventually(lambda: hub.metric(total) == 2 * archive.alerts.count(), 30, "each was counted once for each")
        reported = [json.loads(posted.body)["alerts"][0]["event"] for posted in receiver.taken]
        assert sorted(reported) == sorted(one.event for one in archive.alerts.newest(limit=100))
        assert {posted.path for posted in receiver.posted} == {"/hook"}
        assert "https://noise.example/alerts/" in json.loads(receiver.taken[0].body)["page"]
    finally:
        hub.stop()
        archive.close()


def test_the_commands_show_what_waits_and_send_a_test(tmp_path: Path, store: Store, receiver: Receiver) -> None:
    options = ["--config", str(config_of(tmp_path, receiver, store.url))]
    archive = EventStore(store.url)
    archive.mark_processed([(EventId.parse(alert().event), alert())])
    ops, old = Outbox(archive.client, "ops"), Outbox(archive.client, "old")
    for outbox in (ops, ops, old):
        with archive.client.pipeline() as pipe:
            outbox.put(pipe, [alert().event])
            pipe.execute()
    (first, _) = ops.claim("one")
    ops.note_failure(first.name, "no", NOON)
    ops.move_to_dead_letters(first, "[/red]gone", 1)

    code, printed = run("list", "--json", *options)
    rows = {row["name"]: row for row in json.loads(printed)}
    assert (code, list(rows)) == (0, ["mqtt", "ops", "night", "old"])
    assert rows["ops"] == {
        "name": "ops",
        "kind": "webhook",
        "waiting": 1,
        "held": 0,
        "dead": 1,
        "trouble": "2026-06-01 12:00:00 no",
    }
    assert rows["old"]["kind"] == "(not in the settings)"
    assert "ops" in run("list", *options)[1]

    code, printed = run("dead-letters", "list", "--json", *options)
    (letter,) = json.loads(printed)
    assert (letter["notifier"], letter["reason"], letter["alerts"]) == ("ops", "[/red]gone", [alert().event])
    assert "gone" in run("dead-letters", "list", *options)[1]
    assert run("dead-letters", "requeue", "ops", *options)[0] == 2, "which?"
    assert run("dead-letters", "requeue", "ops", "1-1", *options)[0] == 2, "there is no such letter"
    assert run("dead-letters", "requeue", "unknown", "--all", *options)[0] == 2
    assert run("dead-letters", "requeue", "ops", letter["id"], "--json", *options) == (0, '{"requeued": 1}\n')
    assert (ops.dead_count(), ops.count()) == (0, 2)
    ops.move_to_dead_letters(ops.claim("one", left_over=True)[0], "gone", 1)
    assert run("dead-letters", "remove", "ops", "--all", *options) == (0, "1 removed\n")
    assert ops.dead_count() == 0
    archive.close()

    assert run("test", "ops", *options) == (0, "ops (webhook) accepted the test alert\n")
    body = json.loads(receiver.posted[0].body)
    assert body["title"].startswith("TEST alert")
    assert body["alerts"][0]["site"] == "test"
    receiver.answers += [Answer(503), Answer(410)]
    code, printed = run("test", "ops", "--json", *options)
    assert (code, json.loads(printed.splitlines()[0])["outcome"]) == (1, "unavailable")
    code, printed = run("test", "ops", "--json", *options)
    assert (code, json.loads(printed.splitlines()[0])["outcome"]) == (2, "refused")
    assert run("test", "unknown", *options)[0] == 2
    assert run("test", "mqtt", *options)[0] == 2


@pytest.fixture
def log_again() -> Iterator[None]:
    """`check` silences this process's log."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("log_again")
def test_a_template_that_cannot_be_used_is_sent_by_check_and_keeps_the_hub_from_starting(
    tmp_path: Path, broker: Broker, store: Store, receiver: Receiver
) -> None:
    template = tmp_path / "own.j2"
    template.write_text("title\n\n{{ alert.sensr }}\n")
    config = config_of(tmp_path, receiver, store.url)
    config.write_text(f'{config.read_text()}template = "{template}"\n')
    words = f"notify.webhooks.night: template {template}, line 3"
    hub = TellingHub(tmp_path / "hub", broker.port, store.url, config=config)
    code, printed = hub.ended()
    assert code == 2
    assert words in printed
    assert "Traceback" not in printed
    checked = CliRunner().invoke(
        app, ["check", "--json", "--config", str(config), "--set", f"mqtt.port={broker.port}"]
    )
    findings = {one["name"]: one for one in json.loads(checked.stdout)["checks"]}
    assert checked.exit_code == 1
    assert not findings["notifiers"]["ok"]
    assert words in findings["notifiers"]["text"]
    assert KEY.decode() not in checked.stdout
    config_of(tmp_path, receiver, store.url)
    checked = CliRunner().invoke(app, ["check", "--config", str(config), "--set", f"mqtt.port={broker.port}"])
    assert checked.exit_code == 0
    assert "ops (webhook)" in checked.stdout
