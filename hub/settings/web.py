"""Settings of the web server."""

from pathlib import Path

from pydantic import Field, field_validator

from shared.settings import SettingsGroup
from shared.sockets import plain_host


class WebSettings(SettingsGroup):
    """The HTTP server: pages, API, health, metrics."""

    host: str = Field(
        "127.0.0.1",
        description="address or name to bind, `::` for all of IPv4 and IPv6; other than loopback it needs"
        " `users_file`, and a TLS proxy in front",
    )
    port: int = Field(8080, ge=0, le=65_535, description="port to bind")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="further host names that the hub accepts, against DNS rebinding; it always accepts addresses,"
        " localhost, this machine's name, and the names in `web.host` and `web.public_url`; `*` accepts any name",
    )
    public_url: str = Field(
        "http://127.0.0.1:8080", pattern=r"^https?://[^\s]+$", description="URL of the hub's pages for browsers"
    )

    users_file: Path | None = Field(
        None,
        description="file of users and API tokens, which `earwitness-hub users` and `tokens` write; if set, pages and"
        " API need a login; if not, any client on this machine may do everything",
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="hours until a user must log in again")
    audit_days: float = Field(365.0, ge=1, description="days to keep the audit log")
    trusted_proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"),
        description="addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count",
    )
    body_timeout_s: float = Field(
        120.0, gt=0, le=3_600, description="longest time for the body of a request to arrive, in seconds"
    )

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        return plain_host(host)
