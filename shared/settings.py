"""Settings groups of both programs, and the loading of settings.

Flags override the environment, the environment overrides the TOML file, the file overrides defaults. Every field is
in a group, because pydantic-settings rejects a mistyped nested name and ignores a mistyped top-level one.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from shared.errors import InvalidError, UnavailableError
from shared.paths import expanded
from shared.text_files import first_line, read_toml


class SettingsGroup(BaseModel):
    """Base of every settings group: frozen, unknown names rejected, `~` in paths expanded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _at_home(cls, value: object) -> object:
        try:
            return _expanded(value)
        except InvalidError as error:
            raise ValueError(str(error)) from error


class MqttSettings(SettingsGroup):
    """The connection to the MQTT 5 broker."""

    host: str = Field("127.0.0.1", description="host name or address of the broker")
    port: int = Field(1883, ge=1, le=65535, description="port of the broker; 8883 is usual with TLS")
    username: str | None = Field(None, description="user name, if the broker requires one")
    password: SecretStr | None = Field(None, description="password; prefer password_file")
    password_file: Path | None = Field(None, description="file whose first line is the password")
    tls: bool = Field(default=False, description="use TLS, and verify the broker's certificate")
    ca_file: Path | None = Field(None, description="certificate authority (PEM); the system's if not given")
    cert_file: Path | None = Field(None, description="client certificate, if the broker requires one")
    key_file: Path | None = Field(None, description="private key of the client certificate")
    keepalive_s: int = Field(30, ge=5, le=3600, description="MQTT keep-alive interval in seconds")
    session_expiry_s: int = Field(
        7 * 86_400, ge=0, le=0xFFFFFFFF, description="seconds that the broker keeps the session while disconnected"
    )
    max_reconnect_delay_s: float = Field(
        60.0, gt=0, le=3600, description="longest wait between connection attempts, in seconds"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "MqttSettings":
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file need tls = true")
        return self

    def without_session(self) -> "MqttSettings":
        """Return settings for a connection that leaves no session at the broker. Source: MQTT 5.0, 3.1.2.11.2."""
        return self.model_copy(update={"session_expiry_s": 0})

    def resolve_password(self) -> str | None:
        """Return the password, from the settings or from the password file.

        Raises:
            InvalidError: the password file cannot be read, is empty or is not UTF-8.
        """
        if self.password_file is not None:
            try:
                return first_line(self.password_file)
            except (InvalidError, UnavailableError) as error:
                raise InvalidError(f"mqtt.password_file: {error}") from error
        return self.password.get_secret_value() if self.password else None


class LogSettings(SettingsGroup):
    """Level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level shown")
    format: Literal["console", "json"] = Field("console", description="console for people, json for collectors")


Settings = TypeVar("Settings", bound=BaseSettings)


def load_settings(kind: type[Settings], config: Path | None, overrides: Iterable[str]) -> Settings:
    """Build a program's settings once, at start.

    Args:
        kind: settings class of the program.
        config: TOML file, or None.
        overrides: `group.field=value` strings from `--set` flags; a list is written as in JSON or TOML.

    Raises:
        InvalidError: an unreadable file, an unknown name or a value out of range; the message names it.
    """
    values: dict[str, Any] = {}
    if config is not None:
        try:
            values = read_toml(expanded(config))
        except UnavailableError as error:
            raise InvalidError(str(error)) from error
    if unknown := sorted(set(values) - set(kind.model_fields)):
        raise InvalidError(f"{config}: unknown groups {unknown}; known: {sorted(kind.model_fields)}")
    flags: dict[str, Any] = {}
    for item in overrides:
        name, equals, value = item.partition("=")
        group, dot, field = name.strip().partition(".")
        if not (equals and dot and group in kind.model_fields):
            raise InvalidError(f"--set {item!r}: write group.field=value with a group of {sorted(kind.model_fields)}")
        flags.setdefault(group, {})[field] = _list_or_text(value)
    try:
        environment = EnvSettingsSource(kind)()
        return kind(**_merge(_merge(values, environment), flags))
    except SettingsError as error:
        raise InvalidError(f"settings: {error}") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InvalidError("settings: " + "; ".join(faults)) from error


def unknown_env_vars(kind: type[BaseSettings], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the environment variables with the program's prefix that name no group, probably typing errors."""
    prefix = str(kind.model_config.get("env_prefix", "")).upper()
    known = {name.upper() for name in kind.model_fields}
    names = [n for n in (os.environ if environment is None else environment) if n.upper().startswith(prefix)]
    return sorted(n for n in names if n.upper().removeprefix(prefix).split("__")[0] not in known)


def _list_or_text(value: str) -> str | list[object]:
    if not value.startswith("["):
        return value
    try:
        return list(tomllib.loads(f"value = {value}")["value"])
    except tomllib.TOMLDecodeError:
        return value  # the validation of the field explains the fault


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _expanded(value: object) -> object:
    """Return a path, or a tuple with paths, with `~` expanded; return other values unchanged."""
    if isinstance(value, Path):
        return expanded(value)
    return tuple(_expanded(element) for element in value) if isinstance(value, tuple) else value
