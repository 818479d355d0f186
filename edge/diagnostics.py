"""`earwitness-edge check`: try everything a run needs, and say what to do about what fails."""

import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from edge.clock import clock_status
from edge.extractor import open_extractor
from edge.publisher import TAKEN_OVER
from edge.recording_check import try_source
from edge.settings import EdgeSettings
from edge.sources import AudioClip, Source, open_source
from edge.spool import Spool
from shared.errors import EarwitnessError, InvalidError, UnavailableError
from shared.events import CLIP_S
from shared.levels import measure
from shared.messages import EVENT_CONTENT_TYPE
from shared.mqtt.diagnostics import broker_certificate_expiry, client_certificate_expiry, explain_connection_failure
from shared.mqtt.session import (
    FAILURE,
    SESSION_TAKEN_OVER,
    Acknowledged,
    Connected,
    Disconnected,
    MqttSession,
    publish_bytes,
)
from shared.mqtt.topics import ROOT, SensorTopic

BROKER_S: Final = 5.0
"""How long the broker may take to answer."""
TAKEN_OVER_S: Final = 3.0
"""How long another client with this sensor's client id may take to come back after it was put aside."""
SILENCE_DBFS: Final = -100.0
"""No microphone in a room hears so little."""
CBOR_BYTES: Final = 1_024
"""More than the fields of an event take beside its sound."""
WARNED_AHEAD: Final = timedelta(days=30)
"""So long before a certificate ends it is told."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was tried.

    Attributes:
        what: `source`, `features`, `spool` or `broker`.
        ok: whether it works.
        words: what was found, or what is wrong and what to do.
    """

    what: str
    ok: bool
    words: str


def run_checks(settings: EdgeSettings) -> list[CheckResult]:
    """Try the source, the features, the spool and the broker."""
    tries: list[tuple[str, Callable[[EdgeSettings], str]]] = [
        ("source", _try_source),
        ("features", _try_features),
        ("spool", _try_spool),
        ("broker", _try_broker),
    ]
    findings = []
    for what, attempt in tries:
        try:
            findings.append(CheckResult(what, ok=True, words=attempt(settings)))
        except EarwitnessError as error:
            findings.append(CheckResult(what, ok=False, words=str(error)))
    return findings


def _try_source(settings: EdgeSettings) -> str:
    source = open_source(settings)
    if source.live:
        return f"{source.description}; {_measure_microphone(source)}"
    return try_source(settings, source)


def _measure_microphone(source: Source) -> str:
    """What ten seconds of a microphone sound like.

    Raises:
        Unavailable: it delivers nothing.
    """
    for item in source.clips(threading.Event()):
        if isinstance(item, AudioClip):
            level = measure(item.waveform, item.rate_hz).laeq
            if level < SILENCE_DBFS:
                return f"it hears nothing (LAeq {level:.0f} dBFS): look at the cable and at `alsamixer` (F4, capture)"
            return f"it hears {level:.0f} dBFS (LAeq of ten seconds)"
    raise UnavailableError(f"{source.description} delivers nothing")


def _try_features(settings: EdgeSettings) -> str:
    extractor = open_extractor(settings)
    if extractor is None:
        return "what the source gives is sent as it is"
    return f"sound becomes {extractor.space.id}, and stays here"


def _try_spool(settings: EdgeSettings) -> str:
    path, cap = settings.spool_path(), settings.spool.max_bytes
    try:
        there = next(one for one in (path, *path.parents) if one.exists())
        if there == path:
            words = f"{path}: {_waiting(path, cap)}"
        else:  # none is left behind: it would belong to whoever checks, and the agent could not write it
            with tempfile.TemporaryDirectory(dir=there) as passing:
                _waiting(Path(passing) / path.name, cap)
            words = f"{path}: none yet; one could be made in {there}, which belongs to uid {there.stat().st_uid}"
    except OSError as error:
        raise UnavailableError(
            f"spool {path} cannot be written by uid {os.getuid()} ({error.strerror or error}): chown or free it, or"
            " set spool.path"
        ) from error
    free = shutil.disk_usage(there).free
    if free < cap:
        words += f"; the disk has {free / 1e6:,.0f} MB left, less than spool.max_bytes ({cap / 1e6:,.0f} MB)"
    return words


def _waiting(path: Path, max_bytes: int) -> str:
    """What waits in a spool, which is made if it is not there."""
    spool = Spool(path, max_bytes)
    try:
        fill, taken_over = spool.usage(), spool.note(TAKEN_OVER)
    finally:
        spool.close()
    words = f"{fill.pending} events wait"
    if fill.aside:
        words += f"; {fill.aside} are set aside, as the broker cannot take them"
    if fill.lost:
        words += f"; it was damaged, and {fill.lost} events are lost"
    if taken_over:
        words += f"; another client used this sensor's name last at {taken_over}"
    return words


def _try_broker(settings: EdgeSettings) -> str:
    """Connect and leave no session behind; where names are certificates', a running agent is put aside for a moment.

    While no agent runs here the sensor's own client id is used: another client that has it comes back and is noticed.

    Raises:
        Unavailable: there is no way in.
        Invalid: the broker does not let this sensor publish, or another client uses its name.
    """
    mqtt = settings.mqtt.without_session()
    where = f"{mqtt.host}:{mqtt.port}"
    alone = not _agent_runs(settings)
    link = MqttSession(mqtt, settings.client_id() if alone else f"{settings.client_id()}-check")
    told: str | None = None
    link.start()
    try:
        match link.signals.get(timeout=BROKER_S):
            case Connected(maximum_packet=limit):
                reason, ended = _published(link, settings)
                refused = reason is None or reason >= FAILURE
                taken_over = reason == SESSION_TAKEN_OVER or (not refused and (ended or _taken_over(link)))
                if alone and taken_over:
                    raise InvalidError(
                        f"connected to {where}, but another client uses this name ({_place(settings)}): give each"
                        " sensor a name of its own (sensor.name); is a card copied, or does an agent run elsewhere?"
                    )
                if refused:
                    raise InvalidError(f"connected to {where}, but {_refused(settings, reason)}")
                takes = f"connected to {where}, which lets {_place(settings)} publish"
                return takes + _limited(settings, limit) + _doubts(settings)
            case Disconnected(reason=told):
                pass
    except queue.Empty:
        pass
    finally:
        link.stop()
    raise UnavailableError(explain_connection_failure(mqtt, told))


def _agent_runs(settings: EdgeSettings) -> bool:
    """Whether an agent holds this sensor's spool."""
    path = settings.spool_path()
    if not path.exists():
        return False
    try:
        Spool(path, settings.spool.max_bytes).close()
    except UnavailableError:
        return True
    return False


def _taken_over(link: MqttSession) -> bool:
    """Whether another client takes over the session soon; not every broker tells why it ends a connection."""
    deadline_s = time.monotonic() + TAKEN_OVER_S
    with contextlib.suppress(queue.Empty):
        while True:
            match link.signals.get(timeout=max(0.0, deadline_s - time.monotonic())):
                case Disconnected():
                    return True
    return False


def _limited(settings: EdgeSettings, limit: int | None) -> str:
    """The largest message that the broker takes, and whether a clip of this sensor may be larger."""
    if limit is None:
        return ""
    words = f"; it takes messages of up to {limit:,} bytes"
    rate_hz = settings.source.rate_hz or {"synthetic": 22_050, "microphone": 48_000}.get(settings.source.kind)
    if rate_hz is None or settings.features.space is not None:
        return words
    topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "event"))
    largest = publish_bytes(topic, round(2 * CLIP_S * rate_hz) + CBOR_BYTES, EVENT_CONTENT_TYPE)
    if largest <= limit:
        return words
    return (
        f"{words}, and a clip at {rate_hz} Hz has up to {largest:,}: what is larger is set aside in the spool; raise"
        " the broker's limit (Mosquitto: max_packet_size), lower source.rate_hz, or send embeddings (features.space)"
    )


def _refused(settings: EdgeSettings, reason: int | None) -> str:
    place = _place(settings)
    why = "no answer" if reason is None else f"reason {reason}"
    return (
        f"the broker does not let {place} publish ({why}): the certificate or user name must be this sensor's, and"
        f" the ACL must grant event, state and check below {ROOT}/{place}"
    )


def _place(settings: EdgeSettings) -> str:
    return f"{settings.sensor.site}/{settings.sensor.name}"


def _published(link: MqttSession, settings: EdgeSettings) -> tuple[int | None, bool]:
    """Publish an empty message where nobody listens, again on each connection until there is an answer.

    Returns:
        The broker's reason code; `SESSION_TAKEN_OVER` if the broker says so; None if there is no answer in time. And
        whether a connection ended before the answer.
    """
    mid, ended, deadline_s = _ask(link, settings), False, time.monotonic() + BROKER_S
    with contextlib.suppress(queue.Empty):
        while True:
            match link.signals.get(timeout=max(0.0, deadline_s - time.monotonic())):
                case Acknowledged(mid=answered, reason=reason) if answered == mid:
                    return reason, ended
                case Disconnected(code=code):
                    ended = True
                    if code == SESSION_TAKEN_OVER:
                        return code, ended
                case Connected():
                    mid = _ask(link, settings)
    return None, ended


def _ask(link: MqttSession, settings: EdgeSettings) -> int | None:
    """Publish the message, and give its id; None if the connection has ended, which the signals tell."""
    with contextlib.suppress(UnavailableError):
        return link.publish(f"{ROOT}/{_place(settings)}/check", b"")
    return None


def _doubts(settings: EdgeSettings) -> str:
    """What works now and may not for long."""
    doubts = ""
    for whose, ends in (
        ("the broker's", broker_certificate_expiry(settings.mqtt)),
        ("this sensor's", client_certificate_expiry(settings.mqtt)),
    ):
        if ends is not None and ends - datetime.now(UTC) < WARNED_AHEAD:
            doubts += f"; {whose} certificate ends on {ends:%Y-%m-%d}"
    if clock_status() != "synchronised":
        doubts += "; whether this clock is right is not known (only systemd-timesyncd is asked): events bear its time"
    return doubts
