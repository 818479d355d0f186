"""The settings of a network stream as the sensor's source."""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from shared.errors import InvalidError, UnavailableError
from shared.settings import SettingsGroup
from shared.text_files import first_line

SCHEMES: Final = ("rtsp", "rtsps", "http", "https")
MOST_CHARACTERS: Final = 2_000
"""Longest address; common servers take as much."""


def _stream_url(url: SecretStr) -> SecretStr:
    if (fault := _fault(url.get_secret_value())) is not None:
        raise ValueError(fault)
    return url


def _fault(url: str) -> str | None:
    """Return what is wrong with a URL, without its text; None if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in SCHEMES or not host:
        return f"write a URL with a host, of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
    if len(url) > MOST_CHARACTERS:
        return f"the URL has more than {MOST_CHARACTERS} characters"
    if not url.isprintable() or set(url) & set(" '\"\\"):
        return "percent-encode spaces, quotes and backslashes in the URL"
    return None


class StreamSettings(SettingsGroup):
    """A network stream, which an ffmpeg process decodes (`source.kind = stream`)."""

    url: Annotated[SecretStr, AfterValidator(_stream_url)] | None = Field(
        None,
        description="address of the stream: rtsp, rtsps, http or https; may hold a user name and a password, and is"
        " never shown or logged; prefer url_file",
    )
    url_file: Path | None = Field(None, description="file whose first line is the address")
    ffmpeg: Path = Field(Path("ffmpeg"), description="the program ffmpeg: a path, or a name to search in PATH")
    silent_s: float = Field(
        10.0, ge=1, le=300, description="a stream that delivers nothing for this many seconds is opened again"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "StreamSettings":
        if self.url is not None and self.url_file is not None:
            raise ValueError("give url or url_file, not both")
        return self

    @property
    def is_given(self) -> bool:
        """Return whether an address is set."""
        return self.url is not None or self.url_file is not None

    def resolve_url(self) -> str:
        """Return the address, from the settings or from the file.

        Raises:
            InvalidError: there is none, the file cannot be read, or its first line is no address of a stream.
        """
        if self.url_file is None:
            if self.url is None:
                raise InvalidError("source.kind = stream needs stream.url or stream.url_file")
            return self.url.get_secret_value()
        try:
            url = first_line(self.url_file)
        except (InvalidError, UnavailableError) as error:
            raise InvalidError(f"stream.url_file: {error}") from error
        if (fault := _fault(url)) is not None:
            raise InvalidError(f"stream.url_file: {fault}")
        return url
