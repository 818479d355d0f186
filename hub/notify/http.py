"""Send an HTTP POST, and classify the answer: accepted, retry later, or rejected.

The client is the standard library's. It verifies certificates, does not follow redirects, as they could lead to any
address, and reads only the beginning of an error response. Errors never hold the address, whose path may be a token.
"""

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from hub.notify.channels.protocol import RetryAfterError
from shared.errors import InvalidError, UnavailableError
from shared.messages.codec import JSON_CONTENT_TYPE

ANSWER_CAP_BYTES: Final = 16 * 1024
RETRY_AFTER_CAP_S: Final = 3_600.0
_WORDS: Final = 200
_COME_AGAIN: Final = (408, 429)
"""Client errors that are temporary. Source: RFC 9110, 15.5.9; RFC 6585, 4."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        _req: urllib.request.Request,
        _fp: IO[bytes],
        _code: int,
        _msg: str,
        _headers: http.client.HTTPMessage,
        _newurl: str,
    ) -> None:
        """Follow no redirect, so that the redirect itself becomes the answer."""


class JsonPoster:
    """Posts JSON to one address.

    Args:
        url: http or https; a user name and password in it are sent as basic authentication.
        timeout_s: maximum wait for the connection and for each read, in seconds.
        ca_file: certificate authority; the system's if None.
        now: returns the current time, UTC.

    Raises:
        InvalidError: the certificate authority cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        ca_file: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = urlsplit(url)
        login, at, host = parts.netloc.rpartition("@")
        self._url = parts._replace(netloc=host, fragment="").geturl()
        self.host = host
        self._headers = {"Content-Type": JSON_CONTENT_TYPE, "User-Agent": "earwitness-hub"}
        if at:
            self._headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
        self._timeout_s = timeout_s
        self._now = now
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidError(f"ca_file {ca_file} cannot be used: {error}") from error
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.HTTPSHandler(context=context))

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a body.

        Raises:
            RetryAfterError: the receiver asks for a wait, with `Retry-After`.
            UnavailableError: no answer, a redirect, a server error, or too many requests.
            InvalidError: the receiver rejects the body.
        """
        request = urllib.request.Request(  # noqa: S310 - settings allow http and https only
            self._url, data=body, headers={**self._headers, **(headers or {})}, method="POST"
        )
        try:
            self._opener.open(request, timeout=self._timeout_s).close()  # the body of a success is not read
        except urllib.error.HTTPError as error:
            with error:
                raise self._classify_error(error) from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error
            raise UnavailableError(
                f"{self.host} does not answer: {_short(str(reason) or type(error).__name__)}"
            ) from error

    def _classify_error(self, error: urllib.error.HTTPError) -> UnavailableError | InvalidError:
        try:
            answer = error.fp  # a single read, so that a slow long response cannot block the thread
            body = answer.read1(ANSWER_CAP_BYTES) if isinstance(answer, http.client.HTTPResponse) else b""
        except (OSError, http.client.HTTPException):
            body = b""
        why, more = _short(str(error.reason)), _short(body.decode("utf-8", "replace"))
        words = f"{self.host} answered {error.code} {why}: {more}".rstrip(": ")
        if 400 <= error.code < 500 and error.code not in _COME_AGAIN:
            return InvalidError(words)
        if 300 <= error.code < 400:
            words += " (the hub follows no redirects: set url to its target)"
        after_s = retry_after_s(error.headers.get("Retry-After"), self._now())
        return UnavailableError(words) if after_s is None else RetryAfterError(words, after_s)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the wait that a receiver asks for, in seconds, at most an hour; None without a valid header.

    Args:
        value: value of the header `Retry-After`: seconds or a date. Source: RFC 9110, 10.2.3.
        now: current time, UTC.
    """
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else (_date(value) - now).total_seconds()
    except ValueError:
        return None
    return min(max(0.0, seconds), RETRY_AFTER_CAP_S)


def _date(value: str) -> datetime:
    at = parsedate_to_datetime(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _short(words: str) -> str:
    words = " ".join("".join(one if one.isprintable() else " " for one in words).split())
    return words if len(words) <= _WORDS else words[:_WORDS] + "..."
