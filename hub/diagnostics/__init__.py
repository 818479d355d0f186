"""`earwitness-hub check`: test everything that a hub needs, and report what is wrong and what to do."""

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from hub.app.factory import build_event_store, build_extractor, build_limit_rules, build_retrieval
from hub.diagnostics.broker import check_broker
from hub.diagnostics.result import CheckResult, Tried
from hub.domain.clocks import wording
from hub.notify.service import build_channels, describe_channels
from hub.settings import HubSettings
from hub.settings.web import WebSettings
from hub.store.client import hinted
from hub.store.events import EventStore
from hub.store.schema import refuse_newer, schema_of
from hub.web.access import require_users
from shared.errors import EarwitnessError, InvalidError
from shared.sockets import in_url, is_loopback, listeners

WEB_S: Final = 3.0
SKEW_S: Final = 2.0
"""Clock difference above which `check` warns, in seconds."""
MAX_CLOCK_AHEAD_S: Final = 30.0
"""An archived event this far in the future shows that its sensor's clock was wrong, in seconds."""
LOW_DISK_BYTES: Final = 1024**3


def run_checks(settings: HubSettings, only: Collection[str] = ()) -> list[CheckResult]:
    """Check broker, store, models, notifiers, web and folders; or `only` some of these."""
    checks: list[tuple[str, Callable[[HubSettings], Tried]]] = [
        ("broker", check_broker),
        ("store", _store),
        ("models", _models),
        ("notifiers", _notifiers),
        ("web", _web),
        ("folders", _folders),
        ("limits", _limits),
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


def _store(settings: HubSettings) -> Tried:
    archive = build_event_store(settings)
    fitness = archive.verify(durable=settings.redis.durable == "local")
    refuse_newer(schema_of(archive.client), "the store")
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
    if is_loopback(host) and (channels or settings.homeassistant.discovery):
        doubts.append(f"web.public_url is {settings.web.public_url}: links in alerts open on this machine only")
    return describe_channels(settings), doubts


def _web(settings: HubSettings) -> Tried:
    """Test whether the page's address is free, or a hub uses it already.

    Raises:
        InvalidError: another program uses the address, or it cannot be bound; or other machines reach it, and it has
            no users.
    """
    host, port = settings.web.host, settings.web.port
    require_users(host, settings.web.users_file)
    doubts = list(_doubts_of_access(settings.web))
    try:
        for one in listeners(host, port):
            one.close()
    except OSError as error:
        try:
            with urllib.request.urlopen(f"http://{in_url(host)}:{port}/healthz/live", timeout=WEB_S) as answer:
                running = b'"live"' in answer.read()
        except urllib.error.HTTPError as answer:  # 503: a hub whose thread ended
            running = b'"live"' in answer.read()
        except OSError:
            running = False
        if not running:
            raise InvalidError(f"cannot serve on web.host {host}, web.port {port}: {error.strerror}") from error
        return f"a hub is running at {host}:{port}", doubts
    return f"{host}:{port} is free", doubts


def _doubts_of_access(web: WebSettings) -> Iterator[str]:
    """Yield warnings about who can reach pages, and about passwords that cross the network."""
    public = urlsplit(web.public_url)
    if is_loopback(public.hostname or "localhost"):
        return
    if web.users_file is None:
        yield f"web.public_url is {web.public_url}, and pages have no login: set web.users_file"
    elif public.scheme != "https":
        yield "web.public_url is not https: passwords cross the network in clear; put a TLS proxy in front"


def _limits(settings: HubSettings) -> Tried:
    """Read the rule files.

    Raises:
        InvalidError: a file, the folder or the name of an example is wrong.
    """
    rules = build_limit_rules(settings)
    return f"{len(rules)} rules" + (f": {_first([rule.name for rule in rules])}" if rules else ""), []


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
