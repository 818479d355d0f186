"""Settings of the notification channels: each webhook, Alertmanager and Apprise address has a name and its rules."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from hub.domain.delivery_policy import TimeOfDayRange, parse_time_of_day
from hub.settings.uri import uri_of
from shared.errors import InvalidError, UnavailableError
from shared.messages.alert import Severity
from shared.messages.fields import NamePattern
from shared.settings import SettingsGroup
from shared.text_files import first_line

R = TypeVar("R")


class ChannelSettings(SettingsGroup):
    """The address of a channel, and which alerts it sends when."""

    kind: ClassVar[str]
    """What pages, commands and logs call a channel of this class."""

    url: SecretStr = Field(description="address of the receiver; may hold a password or token, so it is never shown")
    min_severity: Severity = Field("notice", description="minimum severity of alerts: notice, recurring or urgent")
    sites: tuple[NamePattern, ...] = Field((), description="send only alerts of these sites; all if empty")
    quiet_hours: str | None = Field(
        None, description="such as 22:00-06:00, in `sites.timezone`: send only urgent alerts and hold the others"
    )
    digest_time: str | None = Field(
        None,
        description="time of day, such as 08:00, at which held alerts are sent as one message, in addition to the end"
        " of quiet hours; 08:00 if neither is set",
    )
    max_per_day: int | None = Field(
        20, ge=0, description="maximum alerts sent individually in 24 hours; further ones wait for the digest"
    )
    timeout_s: float = Field(10.0, gt=0, le=30, description="maximum wait for one answer, in seconds")
    template: Path | None = Field(None, description="template of an alert's text, instead of the shipped one")
    digest_template: Path | None = Field(None, description="template of a digest's text, instead of the shipped one")

    @field_validator("quiet_hours")
    @classmethod
    def _part_of_the_day(cls, text: str | None) -> str | None:
        return _checked(text, TimeOfDayRange.parse)

    @field_validator("digest_time")
    @classmethod
    def _time_of_day(cls, text: str | None) -> str | None:
        return _checked(text, parse_time_of_day)

    @model_validator(mode="after")
    def _no_digest_in_quiet_hours(self) -> "ChannelSettings":
        quiet = TimeOfDayRange.parse(self.quiet_hours) if self.quiet_hours else None
        if quiet is not None and self.digest_time is not None and parse_time_of_day(self.digest_time) in quiet:
            raise ValueError(f"digest_time {self.digest_time} lies in quiet_hours {self.quiet_hours}")
        return self


class HttpSettings(ChannelSettings):
    """A channel over HTTP."""

    ca_file: Path | None = Field(None, description="certificate authority for https; the system's if not given")

    @field_validator("url")
    @classmethod
    def _http(cls, url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            (parts.hostname or "").encode("idna")
            usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("write http://host:port/path or https://...")
        return SecretStr(uri_of(url.get_secret_value()))


class WebhookSettings(HttpSettings):
    """A webhook: alerts as JSON, signed."""

    kind: ClassVar[str] = "webhook"

    secret: SecretStr | None = Field(None, description="key of the signature; prefer secret_file; unsigned if unset")
    secret_file: Path | None = Field(None, description="file whose first line is the key of the signature")

    @model_validator(mode="after")
    def _one_secret(self) -> "WebhookSettings":
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("give secret or secret_file, not both")
        return self

    def key(self) -> bytes | None:
        """Return the key of the signature from `secret` or `secret_file`; None if neither is set.

        Raises:
            InvalidError: the file cannot be read, or its first line is empty.
        """
        if self.secret_file is None:
            return self.secret.get_secret_value().encode() if self.secret else None
        try:
            return first_line(self.secret_file).strip().encode()
        except (InvalidError, UnavailableError) as error:
            raise InvalidError(f"cannot read secret_file: {error}") from error


class AlertmanagerSettings(HttpSettings):
    """A Prometheus Alertmanager, which groups, silences and routes alerts itself."""

    kind: ClassVar[str] = "alertmanager"

    max_per_day: int | None = Field(
        None,
        ge=0,
        description="maximum alerts sent individually in 24 hours; all if unset, as Alertmanager groups them",
    )
    resolve_after_s: float = Field(3_600.0, gt=0, description="an alert resolves this many seconds after it was sent")


class AppriseSettings(ChannelSettings):
    """An Apprise address: e-mail, chat, SMS and a hundred more."""

    kind: ClassVar[str] = "apprise"

    timeout_s: float = Field(30.0, gt=0, le=90, description="maximum time for one message, in seconds")


class NotifySettings(SettingsGroup):
    """The notification channels besides MQTT. All hubs of one archive need the same settings."""

    late_after_s: float = Field(
        3_600.0,
        ge=0,
        description="an alert about an event received more than this many seconds after its end, as after an outage,"
        " is listed but not sent; the same applies to replays of old recordings",
    )
    expire_after_s: float = Field(
        86_400.0, gt=0, description="a message that cannot be sent for this many seconds becomes a dead letter"
    )
    webhooks: dict[NamePattern, WebhookSettings] = Field({}, description="webhooks by name")
    alertmanagers: dict[NamePattern, AlertmanagerSettings] = Field({}, description="Alertmanagers by name")
    apprise: dict[NamePattern, AppriseSettings] = Field({}, description="Apprise addresses by name")

    def groups(self) -> Mapping[str, Mapping[str, ChannelSettings]]:
        """Return all channels by their table in the settings, then by name."""
        return {"webhooks": self.webhooks, "alertmanagers": self.alertmanagers, "apprise": self.apprise}

    @model_validator(mode="after")
    def _each_name_once(self) -> "NotifySettings":
        names = ["mqtt", *(name for channels in self.groups().values() for name in channels)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"channel names must be unique and not mqtt: {', '.join(twice)}")
        return self


def _checked(text: str | None, read: Callable[[str], R]) -> str | None:
    try:
        if text is not None:
            read(text)
    except InvalidError as error:
        raise ValueError(str(error)) from error
    return text
