"""Page of the settings in effect, with secrets masked, and of each site's thresholds."""

from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.web.pages.rendering import PageRenderer
from hub.web.verdict_service import thresholds

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

    @router.get("/settings")
    def settings(request: Request) -> HTMLResponse:
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
        )

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
