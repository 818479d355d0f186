"""`earwitness-hub check`: everything a hub needs is tried, and what is wrong told in words that say what to do."""

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
"""How long what this hub sends may take to come back through a shared subscription."""
WEB_S: Final = 3.0
STATES_S: Final = 0.5
"""How long after the last one another retained state may take."""
SKEW_S: Final = 2.0
"""Clocks that differ by more are told."""
MAX_CLOCK_AHEAD_S: Final = 30.0
"""A sensor of which an event from so far in the future is kept had a wrong clock."""
WARNED_AHEAD: Final = timedelta(days=30)
"""So long before a certificate ends it is told."""
LOW_DISK_BYTES: Final = 1024**3
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was tried.

    Attributes:
        name: what.
        ok: whether a hub could run.
        text: what was found, or what is wrong and what to do.
        doubts: what works now and may not for long, or is not as it should be.
    """

    name: str
    ok: bool
    text: str
    doubts: tuple[str, ...] = ()


Tried = tuple[str, list[str]]


def run_checks(settings: HubSettings, only: Collection[str] = ()) -> list[CheckResult]:
    """Try broker, store, models, notifiers' settings, the page's address and folders; or `only` some of these."""
    tries: list[tuple[str, Callable[[HubSettings], Tried]]] = [
        ("broker", _broker),
        ("store", _store),
        ("models", _models),
        ("notifiers", _notifiers),
        ("web", _web),
        ("folders", _folders),
    ]
    return [_tried(name, attempt, settings) for name, attempt in tries if not only or name in only]


def _tried(name: str, attempt: Callable[[HubSettings], Tried], settings: HubSettings) -> CheckResult:
    try:
        text, doubts = attempt(settings)
    except EarwitnessError as error:
        url = settings.redis.url.get_secret_value()
        return CheckResult(name, ok=False, text=hinted(str(error), url) if name == "store" else str(error))
    except Exception as error:  # noqa: BLE001 - a defect; what else is wrong is still to be told
        return CheckResult(name, ok=False, text=f"an error that nobody expected: {type(error).__name__}: {error}")
    return CheckResult(name, ok=True, text=text, doubts=tuple(doubts))


def _broker(settings: HubSettings) -> Tried:
    """Connect under a name of our own, look whether states can be read, and leave no session behind."""
    mqtt = settings.mqtt.without_session()
    name = f"check-{uuid.uuid4().hex[:8]}"  # never used again: rumqttd 0.20 ends over a client that was in a group
    link = MqttSession(mqtt, f"earwitness-{name}")
    told: str | None = None
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
                    doubts.append("no sensor's state is there: none came yet, or the ACL lets us read nothing")
                return (
                    f"connected to {mqtt.host}:{mqtt.port} with MQTT 5; {states} sensors have told their state",
                    doubts,
                )
            case Disconnected(reason=told):
                pass
    except queue.Empty:
        pass
    finally:
        link.stop()
    raise UnavailableError(explain_connection_failure(mqtt, told))


def _may_publish(link: MqttSession) -> None:
    """Try whether the broker lets this hub publish, where nobody listens.

    Raises:
        Invalid: it does not.
    """
    mid = link.publish(f"{ROOT}/check", b"")
    while True:
        match link.signals.get(timeout=BROKER_S):
            case Acknowledged(mid=answered, reason=reason) if answered == mid:
                if reason >= FAILURE:
                    raise InvalidError(
                        f"connected, but the broker does not let this hub publish (reason {reason}): the certificate"
                        f" or user name must be the hub's, and the ACL grant it {ROOT}/#"
                    )
                return
            case Disconnected(reason=told):
                raise UnavailableError(f"the broker ended the connection as this hub published: {told}")


def _may_take_events(link: MqttSession, name: str) -> None:
    """Subscribe as `serve` does, in a group of its own, and send something through it.

    Raises:
        Invalid: the broker refuses it, or nothing comes through.
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
            return  # rights may be given by filter; that of events is granted
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
    """The broker's answer to a subscription.

    Raises:
        queue.Empty: there is none.
    """
    while True:
        match _next(link, ECHO_S):
            case Subscribed(topic_filter=answered) as signal if answered == topic_filter:
                return signal


def _next(link: MqttSession, timeout_s: float) -> MqttEvent:
    """The next signal; a message is acknowledged, as rumqttd 0.20 ends if a member of a group leaves without that.

    Raises:
        queue.Empty: there is none in time.
    """
    signal = link.signals.get(timeout=timeout_s)
    if isinstance(signal, Received):
        link.acknowledge(signal)
    return signal


def _received(link: MqttSession) -> Iterator[Received]:
    """Messages, until none comes for a while."""
    try:
        while True:
            signal = _next(link, STATES_S)
            if isinstance(signal, Received):
                yield signal
    except queue.Empty:
        return


def _expiring_certificates(settings: HubSettings) -> Iterator[str]:
    """Certificates that end soon."""
    ends = {
        "the broker's certificate": broker_certificate_expiry(settings.mqtt),
        "this hub's certificate": client_certificate_expiry(settings.mqtt),
    }
    for whose, when in ends.items():
        if when is not None and when - datetime.now(UTC) < WARNED_AHEAD:
            yield f"{whose} ends on {when:%Y-%m-%d}: `earwitness-hub deployment renew DIR`"


def _store(settings: HubSettings) -> Tried:
    archive = build_event_store(settings)
    fitness = archive.verify(durable=settings.redis.durable == "local")
    doubts = list(fitness.doubts)
    if not archive.has_append_only_file():
        doubts.append("no append-only file: a crash of the store loses events; set `appendonly yes`")
    doubts += _clocks(archive, settings.clock.tolerance_s)
    text = f"{fitness.name}: {archive.count()} events archived, {archive.letters.count()} dead letters; noeviction"
    return text, doubts


def _clocks(archive: EventStore, tolerance_s: float) -> Iterator[str]:
    """Clocks that are off: the store's beside ours, and those of sensors, by their events and reports."""
    skew = (datetime.now(UTC) - archive.time()).total_seconds()
    if abs(skew) > SKEW_S:
        yield f"this machine's clock is {skew:+.0f} s from the store's: set one of them (NTP)"
    sensors = archive.sensors.all()
    ahead = [
        sensor.place
        for sensor, newest in zip(
            sensors, archive.sensors.newest_events([sensor.place for sensor in sensors]), strict=True
        )
        if newest is not None and (newest - datetime.now(UTC)).total_seconds() > MAX_CLOCK_AHEAD_S
    ]
    if ahead:
        yield f"events from the future are kept of {_first(ahead)}: their clocks were ahead; retention removes them"
    off = [
        f"{sensor.place} ({wording(timedelta(seconds=skew_s))} {'ahead' if skew_s > 0 else 'behind'})"
        for sensor in sensors
        if (skew_s := sensor.clock_skew_s) is not None and abs(skew_s) > tolerance_s
    ]
    if off:
        yield f"clocks of sensors are off: {_first(off)}: set them by NTP; their events have the time of receipt"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _models(settings: HubSettings) -> Tried:
    retrieval = build_retrieval(settings)
    _, reason = build_extractor(settings, retrieval)
    return f"scores {', '.join(retrieval.spaces)}. {reason}", []


def _notifiers(settings: HubSettings) -> Tried:
    """Whom alerts go to, and whether links in them open for anybody else."""
    host = urlsplit(settings.web.public_url).hostname or ""
    told = bool(build_channels(settings.notify, ZoneInfo(settings.sites.timezone), settings.web.public_url))
    doubts = []
    if host in _LOOPBACK and (told or settings.homeassistant.discovery):
        doubts.append(f"web.public_url is {settings.web.public_url}: links in alerts open on this machine only")
    return describe_channels(settings), doubts


def _web(settings: HubSettings) -> Tried:
    """Whether the page's address is free, or a hub is there already.

    Raises:
        Invalid: neither.
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
    """Whether what the hub writes can be written; nothing is made there, as it would belong to whoever checks.

    Raises:
        Invalid: it cannot.
    """
    folders = {"store.audio_dir": settings.store.audio_dir, "search.snapshot_dir": settings.search.snapshot_dir}
    words, doubts = [], []
    for name, folder in folders.items():
        if folder is None:
            words.append(f"{name} is not set")
            continue
        try:
            there = next(one for one in (folder, *folder.parents) if one.exists())
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(b"x")
                file.flush()
            owner = there.stat().st_uid
        except OSError as error:
            whose = f"uid {os.getuid()}"
            raise InvalidError(
                f"{name}: {folder} cannot be written by {whose} ({error.strerror}): chown or free it"
            ) from error
        if os.getuid() == 0:  # root can write anywhere, which says nothing of the hub's own user
            words.append(f"{folder}: a hub that runs as uid {owner}, to whom {there} belongs, can write there")
            if owner == 0:
                doubts.append(f"{name}: {there} is root's: a hub that runs as another user cannot write there")
        else:
            words.append(f"{folder} can be written")
        free = shutil.disk_usage(there).free
        if free < LOW_DISK_BYTES:
            doubts.append(f"{name}: the disk has {free / 1e6:,.0f} MB left")
    return "; ".join(words), doubts
