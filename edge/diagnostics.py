"""Implement `earwitness-edge check`: test everything a run needs, and explain how to fix what fails."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.broker_check import try_broker
from edge.calibration.in_force import open_calibration
from edge.clock import clock_status
from edge.extractor import open_extractor
from edge.level_check import MICROPHONE, STREAM, judge_level
from edge.machine_check import judge_clock, judge_disk, judge_machine
from edge.publisher import TAKEN_OVER
from edge.recording_check import try_source
from edge.sealing import describe_sound
from edge.settings import EdgeSettings
from edge.sources import AudioClip, Source, open_source
from edge.spool import Spool
from edge.system_health import SystemHealth
from edge.tls_check import try_tls
from shared.errors import EarwitnessError, UnavailableError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one test.

    Attributes:
        what: `microphone` (or `source`), `level`, `calibration`, `features`, `spool`, `disk`, `clock`, `broker`,
            `tls` or `machine`.
        ok: whether it works.
        words: the result, or what is wrong and how to fix it.
    """

    what: str
    ok: bool
    words: str


def run_checks(settings: EdgeSettings) -> list[CheckResult]:
    """Test everything that a run needs; return one result each. Only a live source has the result `level`."""
    tries: list[tuple[str, Callable[[EdgeSettings], str]]] = [
        ("calibration", _try_calibration),
        ("features", _try_features),
        ("spool", _try_spool),
        ("disk", _try_disk),
        ("clock", _try_clock),
        ("broker", try_broker),
        ("tls", _try_tls),
        ("machine", _try_machine),
    ]
    return [*_try_source(settings), *(_result(what, attempt, settings) for what, attempt in tries)]


def _result(what: str, attempt: Callable[..., str], *values: object) -> CheckResult:
    try:
        return CheckResult(what, ok=True, words=attempt(*values))
    except EarwitnessError as error:
        return CheckResult(what, ok=False, words=str(error))


def _try_source(settings: EdgeSettings) -> Iterator[CheckResult]:
    what = "microphone" if settings.source.kind == "microphone" else "source"
    try:
        source = open_source(settings)
        if not source.live:
            yield CheckResult(what, ok=True, words=try_source(settings, source))
            return
        clip = _first_clip(source)
    except EarwitnessError as error:
        yield CheckResult(what, ok=False, words=str(error))
        return
    if clip is None:
        lost = "check the plug and source.device; the log of the kernel (`dmesg`) names a device that was removed"
        yield CheckResult(what, ok=False, words=f"{source.description} delivers nothing: {lost}")
        return
    yield CheckResult(what, ok=True, words=f"{source.description}: sound at {clip.rate_hz} Hz")
    yield _result("level", _try_level, settings, clip)


def _first_clip(source: Source) -> AudioClip | None:
    return next((item for item in source.clips(threading.Event()) if isinstance(item, AudioClip)), None)


def _try_level(settings: EdgeSettings, clip: AudioClip) -> str:
    of = STREAM if settings.source.kind == "stream" else MICROPHONE
    return judge_level(clip.waveform, clip.rate_hz, open_calibration(settings).full_scale_db_spl, of)


def _try_machine(settings: EdgeSettings) -> str:
    return judge_machine(SystemHealth(settings.spool_path()).read())


def _try_clock(_: EdgeSettings) -> str:
    return judge_clock(clock_status(), datetime.now(UTC))


def _try_disk(settings: EdgeSettings) -> str:
    return judge_disk(_existing(settings.spool_path().parent), settings.spool.max_bytes)


def _existing(path: Path) -> Path:
    return next(ancestor for ancestor in (path, *path.parents) if ancestor.exists())


def _try_calibration(settings: EdgeSettings) -> str:
    return open_calibration(settings).description


def _try_features(settings: EdgeSettings) -> str:
    if not settings.sends_clips:
        return "the sensor sends the levels of each second, and no clips"
    extractor = open_extractor(settings)
    if extractor is None:
        return "the sensor sends the source's clips without embedding them"
    return f"the sensor sends {extractor.space.id} embeddings and {describe_sound(settings)}"


def _try_spool(settings: EdgeSettings) -> str:
    path, cap = settings.spool_path(), settings.spool.max_bytes
    try:
        existing = _existing(path)
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


def _try_tls(settings: EdgeSettings) -> str:
    return try_tls(settings.mqtt)
