"""Download an evidence report of a sensor or a site."""

import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from hub.evidence.contents import Period, parse_bound
from hub.evidence.factory import build_evidence
from hub.web.access import identity_of
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import get_sensor_or_404, parse_place
from shared.errors import InvalidError, UnavailableError
from shared.events import check_name
from shared.paths import expanded, printable

MOST_S: Final = 31 * 86_400 + 3_600
"""Longest period of a report by the page; by the command it is 366 days."""

Since = Annotated[str, Query(max_length=40, description="begin: a date or a time")]
Until = Annotated[str, Query(max_length=40, description="end: the last date, or a time")]


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of evidence reports."""
    router = APIRouter()
    parts = shell.parts
    busy = threading.Lock()

    @router.get("/evidence/{site}", response_class=FileResponse)
    def of_site(request: Request, site: str, since: Since, until: Until) -> FileResponse:
        check_name(site, "site")
        return report(request, site, since, until)

    @router.get("/evidence/{site}/{name}", response_class=FileResponse)
    def of_sensor(request: Request, site: str, name: str, since: Since, until: Until) -> FileResponse:
        found = get_sensor_or_404(parts.archive, parse_place(f"{site}/{name}") or "")
        return report(request, found.place, since, until)

    def report(request: Request, place: str, since: str, until: str) -> FileResponse:
        """Write a report into a folder that only the hub may read, and remove it after the answer."""
        zone, now = parts.places.timezone, datetime.now(UTC)
        period = Period.between(parse_bound(since, zone, end=False), parse_bound(until, zone, end=True), now, zone)
        if period.end_s - period.start_s > MOST_S:
            raise InvalidError(
                "a report by the page has at most 31 days: choose a shorter period, or use"
                " `earwitness-hub report-evidence`"
            )
        if not busy.acquire(blocking=False):
            raise UnavailableError("another evidence report is being written: repeat the request in a minute")
        try:
            reports = build_evidence(parts.settings, parts.archive, parts.feedback.stored)
            folder = _folder(expanded(parts.settings.evidence.signing_key).parent)
            path = Path(folder.name) / f"evidence-{place.replace('/', '-')}-{period.at(period.start_s):%Y-%m-%d}.zip"
            client = identity_of(request.scope)
            name = (client.who if client is not None else "") or "a client on the machine of the hub"
            reports.write(place, period, now, name, path)  # if it fails, the folder goes with its last reference
        finally:
            busy.release()
        return FileResponse(
            path, media_type="application/zip", filename=path.name, background=BackgroundTask(folder.cleanup)
        )

    return router


def _folder(data: Path) -> "tempfile.TemporaryDirectory[str]":
    """Return a new folder that only the hub may read, in its data folder: /tmp may be small.

    Raises:
        UnavailableError: it cannot be made.
    """
    try:
        return tempfile.TemporaryDirectory(prefix=".evidence-", dir=data)
    except OSError as error:
        raise UnavailableError(f"cannot write to {printable(data)}: {error.strerror}") from error
