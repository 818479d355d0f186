"""Implement `earwitness-edge check`: test everything a run needs, and explain how to fix what fails."""

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

from edge.calibration.in_force import open_calibration
from edge.clock import clock_status
from edge.extractor import open_extractor
from edge.machine_check import judge_machine
from edge.publisher import TAKEN_OVER
from edge.recording_check import try_source
from edge.settings import EdgeSettings
from edge.sources import AudioClip, Source, open_source
from edge.spool import Spool
from edge.system_health import SystemHealth
from shared.errors import EarwitnessError, InvalidError, UnavailableError
from shared.events import CLIP_S
from shared.levels.meter import measure
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
"""Seconds that the broker may take to answer."""
TAKEN_OVER_S: Final = 3.0
"""Seconds that another client with this sensor's client id may take to reconnect after `check` took its session."""
SILENCE_DBFS: Final = -100.0
"""A working microphone in a room measures more than this (LAeq)."""
CBOR_BYTES: Final = 1_024
"""Upper bound of the size of an event without its audio."""
WARNED_AHEAD: Final = timedelta(days=30)
"""`check` warns of a certificate that expires within this time."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one test.

    Attributes:
        what: `source`, `calibration`, `features`, `spool`, `broker` or `machine`.
        ok: whether it works.
        words: the result, or what is wrong and how to fix it.
    """

    what: str
    ok: bool
    words: str


def run_checks(settings: EdgeSettings) -> list[CheckResult]:
    """Test source, calibration, features, spool, broker and machine; return one result each."""
    tries: list[tuple[str, Callable[[EdgeSettings], str]]] = [
        ("source", _try_source),
        ("calibration", _try_calibration),
        ("features", _try_features),
        ("spool", _try_spool),
        ("broker", _try_broker),
        ("machine", _try_machine),
    ]
    findings = []
    for what, attempt in tries:
        try:
            findings.append(CheckResult(what, ok=True, words=attempt(settings)))
        except EarwitnessError as error:
            findings.append(CheckResult(what, ok=False, words=str(error)))
    return findings


def _try_machine(settings: EdgeSettings) -> str:
    return judge_machine(SystemHealth(settings.spool_path()).read())


def _try_source(settings: EdgeSettings) -> str:
    source = open_source(settings)
    if source.live:
        return f"{source.description}; {_measure_microphone(source)}"
    return try_source(settings, source)


def _measure_microphone(source: Source) -> str:
    """Return the sound level of 10 s of a microphone, as text.

    Raises:
        UnavailableError: the microphone delivers nothing.
    """
    for item in source.clips(threading.Event()):
        if isinstance(item, AudioClip):
            level = measure(item.waveform, item.rate_hz).laeq
            if level < SILENCE_DBFS:
                return f"it delivers silence (LAeq {level:.0f} dBFS): check the cable and `alsamixer` (F4, capture)"
            return f"LAeq of 10 s is {level:.0f} dBFS"
    raise UnavailableError(f"{source.description} delivers nothing")


def _try_calibration(settings: EdgeSettings) -> str:
    return open_calibration(settings).description


def _try_features(settings: EdgeSettings) -> str:
    if not settings.sends_clips:
        return "the sensor sends the levels of each second, and no clips"
    extractor = open_extractor(settings)
    if extractor is None:
        return "the sensor sends the source's clips without embedding them"
    sound = "audio next to them" if settings.sends_sound else "no audio"
    return f"the sensor sends {extractor.space.id} embeddings and {sound}"


def _try_spool(settings: EdgeSettings) -> str:
    path, cap = settings.spool_path(), settings.spool.max_bytes
    try:
        existing = next(ancestor for ancestor in (path, *path.parents) if ancestor.exists())
        if existing == path:
            words = f"{path}: {_describe_spool(path, cap)}"
        else:  # leave no file: it would belong to the user who runs `check`, and the agent could not write it
            with tempfile.TemporaryDirectory(dir=existing) as folder:
                _describe_spool(Path(folder) / path.name, cap)
            owner = existing.stat().st_uid
            words = f"{path}: does not exist yet; it can be created in {existing}, which belongs to uid {owner}"
    except OSError as error:
        raise UnavailableError(
            f"spool {path} cannot be written by uid {os.getuid()} ({error.strerror or error}): change its owner, stop"
            " the process that uses it, or set spool.path"
        ) from error
    free = shutil.disk_usage(existing).free
    if free < cap:
        words += f"; the disk has {free / 1e6:,.0f} MB left, less than spool.max_bytes ({cap / 1e6:,.0f} MB)"
    return words


def _describe_spool(path: Path, max_bytes: int) -> str:
    """Open or create a spool; return the number of its events and its faults, as text."""
    spool = Spool(path, max_bytes)
    try:
        fill, taken_over = spool.usage(), spool.note(TAKEN_OVER)
    finally:
        spool.close()
    words = f"{fill.pending} events wait"
    if fill.aside:
        words += f"; {fill.aside} are set aside because the broker cannot take them"
    if fill.lost:
        words += f"; the file was damaged and {fill.lost} events are lost"
    if taken_over:
        words += f"; another client used this sensor's name last at {taken_over}"
    return words


def _try_broker(settings: EdgeSettings) -> str:
    """Connect, publish a test message, and leave no session at the broker.

    While no agent runs here, the test uses the sensor's client id. Another client with that id then reconnects, which
    shows that it exists. Where the broker takes the client id from the certificate, a running agent is disconnected
    for a moment.

    Raises:
        UnavailableError: the broker does not accept the connection.
        InvalidError: the broker does not let this sensor publish, or another client uses its name.
    """
    mqtt = settings.mqtt.without_session()
    where = f"{mqtt.host}:{mqtt.port}"
    alone = not _agent_runs(settings)
    link = MqttSession(mqtt, settings.client_id() if alone else f"{settings.client_id()}-check")
    failure: str | None = None
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
            case Disconnected(reason=failure):
                pass
    except queue.Empty:
        pass
    finally:
        link.stop()
    raise UnavailableError(explain_connection_failure(mqtt, failure))


def _agent_runs(settings: EdgeSettings) -> bool:
    """Return whether an agent has this sensor's spool open."""
    path = settings.spool_path()
    if not path.exists():
        return False
    try:
        Spool(path, settings.spool.max_bytes).close()
    except UnavailableError:
        return True
    return False


def _taken_over(link: MqttSession) -> bool:
    """Return whether the connection ends within `TAKEN_OVER_S`; not every broker sends the reason of a takeover."""
    deadline_s = time.monotonic() + TAKEN_OVER_S
    with contextlib.suppress(queue.Empty):
        while True:
            match link.signals.get(timeout=max(0.0, deadline_s - time.monotonic())):
                case Disconnected():
                    return True
    return False


def _limited(settings: EdgeSettings, limit: int | None) -> str:
    """Return the broker's maximum message size, and whether a clip of this sensor may exceed it, as text."""
    if limit is None:
        return ""
    words = f"; the broker accepts messages of at most {limit:,} bytes"
    rate_hz = settings.source.rate_hz or {"synthetic": 22_050, "microphone": 48_000}.get(settings.source.kind)
    if rate_hz is None or settings.features.space is not None:
        return words
    topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "event"))
    largest = publish_bytes(topic, round(2 * CLIP_S * rate_hz) + CBOR_BYTES, EVENT_CONTENT_TYPE)
    if largest <= limit:
        return words
    return (
        f"{words}, but a clip at {rate_hz} Hz has at most {largest:,}. The agent sets larger messages aside in the"
        " spool. Raise the broker's limit (Mosquitto: max_packet_size), lower source.rate_hz, or send embeddings"
        " (features.space)"
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
    """Publish an empty message without subscribers, and repeat it on each connection until the broker answers.

    Returns:
        The broker's reason code, `SESSION_TAKEN_OVER` if it ended a connection, or None without an answer in time.
        Second, whether a connection ended before the answer.
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
    """Publish the message and return its id, or None if the connection has ended; a signal for that follows."""
    with contextlib.suppress(UnavailableError):
        return link.publish(f"{ROOT}/{_place(settings)}/check", b"")
    return None


def _doubts(settings: EdgeSettings) -> str:
    """Return warnings about certificates that expire soon and about the clock, as text."""
    doubts = ""
    for whose, ends in (
        ("the broker's", broker_certificate_expiry(settings.mqtt)),
        ("this sensor's", client_certificate_expiry(settings.mqtt)),
    ):
        if ends is not None and ends - datetime.now(UTC) < WARNED_AHEAD:
            doubts += f"; {whose} certificate expires on {ends:%Y-%m-%d}"
    if clock_status() != "synchronised":
        doubts += "; the clock, which stamps events, may be wrong: systemd-timesyncd does not report synchronisation"
    return doubts
