"""`earwitness-hub check`: test everything that a hub needs, and report what is wrong and what to do."""

import os
import queue
import shutil
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from hub.app.factory import build_event_store, build_extractor, build_retrieval
from hub.domain.clocks import wording
from hub.ingest.subscription import LITERAL, problem_of_connection, problem_of_grant
from hub.notify.service import build_channels, describe_channels
from hub.settings import HubSettings
from hub.store.client import hinted
from hub.store.events import EventStore
from shared.errors import EarwitnessError, InvalidError, UnavailableError
from shared.mqtt.diagnostics import broker_certificate_expiry, client_certificate_expiry, explain_connection_failure
from shared.mqtt.session import (
    FAILURE,
    Acknowledged,
    Connected,
    Disconnected,
    MqttEvent,
    MqttSession,
    Received,
    Subscribed,
)
from shared.mqtt.topics import ALL_STATES, HEARTBEAT_SITE, ROOT, SensorTopic, shared_beats, shared_event_subscription
from shared.sockets import in_url, listeners

BROKER_S: Final = 5.0
ECHO_S: Final = 3.0
"""Maximum time for a message through a shared subscription and back, in seconds."""
WEB_S: Final = 3.0
STATES_S: Final = 0.5
"""Maximum wait for the next retained state, in seconds."""
SKEW_S: Final = 2.0
"""Clock difference above which `check` warns, in seconds."""
MAX_CLOCK_AHEAD_S: Final = 30.0
"""An archived event this far in the future shows that its sensor's clock was wrong, in seconds."""
WARNED_AHEAD: Final = timedelta(days=30)
"""Time before the expiry of a certificate from which `check` warns."""
LOW_DISK_BYTES: Final = 1024**3
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: name of the check.
        ok: whether a hub could run.
        text: the result, or what is wrong and what to do.
        doubts: warnings about what works now and may fail later.
    """

    name: str
    ok: bool
    text: str
    doubts: tuple[str, ...] = ()


Tried = tuple[str, list[str]]


def run_checks(settings: HubSettings, only: Collection[str] = ()) -> list[CheckResult]:
    """Check broker, store, models, notifiers, web and folders; or `only` some of these."""
    checks: list[tuple[str, Callable[[HubSettings], Tried]]] = [
        ("broker", _broker),
        ("store", _store),
        ("models", _models),
        ("notifiers", _notifiers),
        ("web", _web),
        ("folders", _folders),
    ]
    return [_run(name, check, settings) for name, check in checks if not only or name in only]


def _run(name: str, check: Callable[[HubSettings], Tried], settings: HubSettings) -> CheckResult:
    try:
        text, doubts = check(settings)
    except EarwitnessError as error:
        url = settings.redis.url.get_secret_value()
        return CheckResult(name, ok=False, text=hinted(str(error), url) if name == "store" else str(error))
    except Exception as error:  # noqa: BLE001 - a defect; the other checks still run
        return CheckResult(name, ok=False, text=f"unexpected error: {type(error).__name__}: {error}")
    return CheckResult(name, ok=True, text=text, doubts=tuple(doubts))


def _broker(settings: HubSettings) -> Tried:
    """Connect with a separate client id, test whether states can be read, and leave no session."""
    mqtt = settings.mqtt.without_session()
    name = f"check-{uuid.uuid4().hex[:8]}"  # never used again: rumqttd 0.20 fails over a client that was in a group
    link = MqttSession(mqtt, f"earwitness-{name}")
    failure: str | None = None
    link.start()
    try:
        match link.signals.get(timeout=BROKER_S):
            case Connected() as up:
                if (problem := problem_of_connection(up)) is not None:
                    raise InvalidError(problem)
                _may_publish(link)
                _may_take_events(link, name)
                link.subscribe(ALL_STATES)
                states = len({received.topic for received in _received(link)})
                doubts = list(_expiring_certificates(settings))
                if not states:
                    doubts.append("no sensor states: no sensor has sent one yet, or the ACL forbids reading them")
                return (
                    f"connected to {mqtt.host}:{mqtt.port} with MQTT 5; {states} sensors have sent their state",
                    doubts,
                )
            case Disconnected(reason=failure):
                pass
    except queue.Empty:
        pass
    finally:
        link.stop()
    raise UnavailableError(explain_connection_failure(mqtt, failure))


def _may_publish(link: MqttSession) -> None:
    """Test whether the broker lets this hub publish, on a topic without subscribers.

    Raises:
        InvalidError: the broker rejects the message.
    """
    mid = link.publish(f"{ROOT}/check", b"")
    while True:
        match link.signals.get(timeout=BROKER_S):
            case Acknowledged(mid=answered, reason=reason) if answered == mid:
                if reason >= FAILURE:
                    raise InvalidError(
                        f"connected, but the broker does not let this hub publish (reason {reason}): use the hub's"
                        f" certificate or user name, and grant it {ROOT}/# in the ACL"
                    )
                return
            case Disconnected(reason=why):
                raise UnavailableError(f"the broker closed the connection as this hub published: {why}")


def _may_take_events(link: MqttSession, name: str) -> None:
    """Subscribe as `serve` does, in a separate group, and send a message through the subscription.

    Raises:
        InvalidError: the broker rejects the subscription, or the message does not arrive.
    """
    events, beat, beats = (
        shared_event_subscription(name),
        SensorTopic(HEARTBEAT_SITE, name, "heartbeat"),
        shared_beats(name, name),
    )
    try:
        link.subscribe(events)
        if (problem := problem_of_grant(_granted(link, events))) is not None:
            raise InvalidError(problem)
        link.unsubscribe(events)
        link.subscribe(beats)
        if _granted(link, beats).reason >= FAILURE:
            return  # an ACL may grant rights by filter; the one of events is granted
        mid = link.publish(str(beat), b"")
        deadline_s = time.monotonic() + ECHO_S
        while True:
            match _next(link, max(0.0, deadline_s - time.monotonic())):
                case Received(topic=topic) if topic == str(beat):
                    link.unsubscribe(beats)
                    return
                case Acknowledged(mid=answered, reason=reason) if answered == mid and reason >= FAILURE:
                    return
    except queue.Empty:
        raise InvalidError(LITERAL) from None


def _granted(link: MqttSession, topic_filter: str) -> Subscribed:
    """Return the broker's answer to a subscription.

    Raises:
        queue.Empty: no answer in time.
    """
    while True:
        match _next(link, ECHO_S):
            case Subscribed(topic_filter=answered) as signal if answered == topic_filter:
                return signal


def _next(link: MqttSession, timeout_s: float) -> MqttEvent:
    """Return the next signal. Acknowledge a message, as rumqttd 0.20 fails if a group member leaves without that.

    Raises:
        queue.Empty: no signal in time.
    """
    signal = link.signals.get(timeout=timeout_s)
    if isinstance(signal, Received):
        link.acknowledge(signal)
    return signal


def _received(link: MqttSession) -> Iterator[Received]:
    """Yield messages until none arrives for `STATES_S`."""
    try:
        while True:
            signal = _next(link, STATES_S)
            if isinstance(signal, Received):
                yield signal
    except queue.Empty:
        return


def _expiring_certificates(settings: HubSettings) -> Iterator[str]:
    """Yield warnings about certificates that expire soon."""
    ends = {
        "the broker's certificate": broker_certificate_expiry(settings.mqtt),
        "this hub's certificate": client_certificate_expiry(settings.mqtt),
    }
    for name, when in ends.items():
        if when is not None and when - datetime.now(UTC) < WARNED_AHEAD:
            yield f"{name} expires on {when:%Y-%m-%d}: renew it with `earwitness-hub deployment renew DIR`"


def _store(settings: HubSettings) -> Tried:
    archive = build_event_store(settings)
    fitness = archive.verify(durable=settings.redis.durable == "local")
    doubts = list(fitness.doubts)
    if not archive.has_append_only_file():
        doubts.append("no append-only file: a crash of Redis loses events; set `appendonly yes`")
    doubts += _clocks(archive, settings.clock.tolerance_s)
    text = f"{fitness.name}: {archive.count()} events archived, {archive.letters.count()} dead letters; noeviction"
    return text, doubts


def _clocks(archive: EventStore, tolerance_s: float) -> Iterator[str]:
    """Yield warnings about wrong clocks: this machine's against Redis, and those of sensors."""
    skew = (datetime.now(UTC) - archive.time()).total_seconds()
    if abs(skew) > SKEW_S:
        yield f"this machine's clock differs from the clock of Redis by {skew:+.0f} s: synchronise both by NTP"
    sensors = archive.sensors.all()
    ahead = [
        sensor.place
        for sensor, newest in zip(
            sensors, archive.sensors.newest_events([sensor.place for sensor in sensors]), strict=True
        )
        if newest is not None and (newest - datetime.now(UTC)).total_seconds() > MAX_CLOCK_AHEAD_S
    ]
    if ahead:
        yield f"the archive has future events of {_first(ahead)}: their clocks were ahead; retention removes them"
    off = [
        f"{sensor.place} ({wording(timedelta(seconds=skew_s))} {'ahead' if skew_s > 0 else 'behind'})"
        for sensor in sensors
        if (skew_s := sensor.clock_skew_s) is not None and abs(skew_s) > tolerance_s
    ]
    if off:
        yield f"wrong sensor clocks: {_first(off)}; synchronise them by NTP. Their events get the time of receipt"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _models(settings: HubSettings) -> Tried:
    retrieval = build_retrieval(settings)
    _, reason = build_extractor(settings, retrieval)
    return f"scores {', '.join(retrieval.spaces)}. {reason}", []


def _notifiers(settings: HubSettings) -> Tried:
    """List the channels, and test whether links in alerts work on other machines."""
    host = urlsplit(settings.web.public_url).hostname or ""
    channels = build_channels(settings.notify, ZoneInfo(settings.sites.timezone), settings.web.public_url)
    doubts = []
    if host in _LOOPBACK and (channels or settings.homeassistant.discovery):
        doubts.append(f"web.public_url is {settings.web.public_url}: links in alerts open on this machine only")
    return describe_channels(settings), doubts


def _web(settings: HubSettings) -> Tried:
    """Test whether the page's address is free, or a hub uses it already.

    Raises:
        InvalidError: another program uses the address, or it cannot be bound.
    """
    host, port = settings.web.host, settings.web.port
    try:
        for one in listeners(host, port):
            one.close()
    except OSError as error:
        try:
            with urllib.request.urlopen(f"http://{in_url(host)}:{port}/metrics", timeout=WEB_S) as answer:
                running = b"earwitness_hub" in answer.read()
        except OSError:
            running = False
        if not running:
            raise InvalidError(f"cannot serve on web.host {host}, web.port {port}: {error.strerror}") from error
        return f"a hub is running at {host}:{port}", []
    return f"{host}:{port} is free", []


def _folders(settings: HubSettings) -> Tried:
    """Test whether the hub's folders are writable, without leaving files of the current user there.

    Raises:
        InvalidError: a folder is not writable.
    """
    folders = {"store.audio_dir": settings.store.audio_dir, "search.snapshot_dir": settings.search.snapshot_dir}
    words, doubts = [], []
    for name, folder in folders.items():
        if folder is None:
            words.append(f"{name} is not set")
            continue
        try:
            existing = next(one for one in (folder, *folder.parents) if one.exists())
            with tempfile.TemporaryFile(dir=existing) as file:
                file.write(b"x")
                file.flush()
            owner = existing.stat().st_uid
        except OSError as error:
            raise InvalidError(
                f"{name}: uid {os.getuid()} cannot write {folder} ({error.strerror}): chown it or free space"
            ) from error
        if os.getuid() == 0:  # root can write anywhere, so test the owner instead
            words.append(f"{folder}: a hub that runs as uid {owner}, the owner of {existing}, can write there")
            if owner == 0:
                doubts.append(f"{name}: root owns {existing}: a hub that runs as another user cannot write there")
        else:
            words.append(f"{folder} is writable")
        free = shutil.disk_usage(existing).free
        if free < LOW_DISK_BYTES:
            doubts.append(f"{name}: the disk has {free / 1e6:,.0f} MB left")
    return "; ".join(words), doubts
