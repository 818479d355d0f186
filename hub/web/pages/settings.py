"""Settings as they are in effect, secrets masked, and what each site has learnt."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.web.pages.rendering import PageRenderer
from hub.web.verdict_service import thresholds

_MASKED: Final = "set, not shown"
_SECRET: Final = ("password", "secret", "token", "url", "key_file", "password_file")


def routes(shell: PageRenderer) -> APIRouter:
    """The route of settings."""
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


def flat(group: Any, prefix: str = "") -> list[tuple[str, str]]:  # noqa: ANN401 - JSON values
    """Fields of a group, those of groups within it too, as text; whatever may be secret is masked."""
    if isinstance(group, dict) and group:
        return [row for name, value in group.items() for row in flat(value, f"{prefix}.{name}" if prefix else name)]
    if isinstance(group, list) and any(isinstance(value, dict) for value in group):
        return [row for number, value in enumerate(group) for row in flat(value, f"{prefix}.{number}")]
    last = prefix.rpartition(".")[2]
    if last in _SECRET:
        return [(prefix, "not set" if group in (None, "") else _MASKED)]
    if group is None or group in ({}, []):
        return [(prefix, "not set")]
    if isinstance(group, list):
        return [(prefix, ", ".join(map(str, group)))]
    return [(prefix, {True: "yes", False: "no"}.get(group, str(group)) if isinstance(group, bool) else str(group))]
