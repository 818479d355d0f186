"""Page of the settings in effect, with secrets masked, of each site's thresholds, and of notification channels."""

from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.notify.channel_test import channel_of, send_test_alert
from hub.notify.service import notifiers_of
from hub.web.pages.rendering import PageRenderer
from hub.web.verdict_service import thresholds
from shared.errors import EarwitnessError

_UNSET: Final = "not set"
_MASKED: Final = "set, not shown"
_SECRET: Final = ("password", "secret", "token", "url", "key_file", "password_file")


class SettingRow(NamedTuple):
    """A setting on the page; `shown` is false if `text` stands for a value that is unset or secret."""

    name: str
    text: str
    shown: bool = True


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of settings."""
    router = APIRouter()
    parts = shell.parts

    def page(request: Request, outcome: str = "", *, failed: bool = False) -> HTMLResponse:
        groups = {name: list(flat(group)) for name, group in parts.settings.model_dump(mode="json").items()}
        sites = {
            site: thresholds(parts, site)
            for site in parts.episode_store.sites()
            if parts.episode_store.observed_range(site)
        }
        return shell.page(
            request,
            "settings.html",
            groups=groups,
            sites=sites,
            budget=parts.settings.alerts.max_false_alerts_per_day,
            channels=notifiers_of(parts.settings),
            outcome=outcome,
            failed=failed,
        )

    @router.get("/settings")
    def settings(request: Request) -> HTMLResponse:
        return page(request)

    @router.post("/settings/channels/{name}/test")
    def test_channel(request: Request, name: str) -> HTMLResponse:
        channel = channel_of(parts.settings, name)
        try:
            send_test_alert(channel, parts.settings.hub.name)
        except EarwitnessError as error:
            return page(request, f"{name} did not accept the test alert: {error}", failed=True)
        return page(request, f"{name} ({channel.kind}) accepted the test alert.")

    return router


def flat(group: Any, prefix: str = "") -> list[SettingRow]:  # noqa: ANN401 - JSON values
    """Return the fields of a group and of its nested groups as text; values that may be secret are masked."""
    if isinstance(group, dict) and group:
        return [row for name, value in group.items() for row in flat(value, f"{prefix}.{name}" if prefix else name)]
    if isinstance(group, list) and any(isinstance(value, dict) for value in group):
        return [row for number, value in enumerate(group) for row in flat(value, f"{prefix}.{number}")]
    last = prefix.rpartition(".")[2]
    if last in _SECRET:
        return [SettingRow(prefix, _UNSET if group in (None, "") else _MASKED, shown=False)]
    if group is None or group in ({}, []):
        return [SettingRow(prefix, _UNSET, shown=False)]
    if isinstance(group, list):
        return [SettingRow(prefix, ", ".join(map(str, group)))]
    return [SettingRow(prefix, ("yes" if group else "no") if isinstance(group, bool) else str(group))]
