"""Send an HTTP POST, and classify the answer: accepted, retry later, or rejected.

The client is httpx's. It verifies certificates, does not follow redirects, as they could lead to any
address, and reads only the beginning of an error response. Errors never hold the address, whose path may be a token.
"""

import logging
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx

from hub.notify.channels.protocol import RetryAfterError
from hub.runtime.clock import utc_now
from shared.errors import InvalidError, UnavailableError
from shared.messages.codec import JSON_CONTENT_TYPE

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address, whose path may be a token

ANSWER_CAP_BYTES: Final = 16 * 1024
RETRY_AFTER_CAP_S: Final = 3_600.0
_WORDS: Final = 200
_COME_AGAIN: Final = (408, 429)
"""Client errors that are temporary. Source: RFC 9110, 15.5.9; RFC 6585, 4."""


class JsonPoster:
    """Posts JSON to one address.

    Args:
        url: http or https; a user name and password in it are sent as basic authentication.
        timeout_s: maximum wait for the connection and for each read, in seconds.
        ca_file: certificate authority; the system's if None.
        now: returns the current time, UTC.

    Raises:
        InvalidError: the address or the certificate authority cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        ca_file: Path | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise InvalidError(f"the address cannot be used: {error}") from error
        self.host = self._url.netloc.decode()
        self._now = now
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidError(f"ca_file {ca_file} cannot be used: {error}") from error
        headers = {"Content-Type": JSON_CONTENT_TYPE, "User-Agent": "earwitness-hub"}
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(verify=context, timeout=timeout_s, headers=headers, limits=limits)

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a body.

        Raises:
            RetryAfterError: the receiver asks for a wait, with `Retry-After`.
            UnavailableError: no answer, a redirect, a server error, or too many requests.
            InvalidError: the receiver rejects the body.
        """
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
                if not answer.is_success:  # the body of a success is not read
                    raise self._classify(answer)
        except httpx.HTTPError as error:
            reason = _short(str(error) or type(error).__name__)
            raise UnavailableError(f"{self.host} does not answer: {reason}") from error

    def _classify(self, answer: httpx.Response) -> UnavailableError | InvalidError:
        try:  # a single read, so that a slow long response cannot block the thread
            body = next(answer.iter_raw(), b"")[:ANSWER_CAP_BYTES]
        except httpx.HTTPError:
            body = b""
        code, more = answer.status_code, _short(body.decode("utf-8", "replace"))
        words = f"{self.host} answered {code} {_short(answer.reason_phrase)}: {more}".rstrip(": ")
        if answer.is_client_error and code not in _COME_AGAIN:
            return InvalidError(words)
        if answer.is_redirect:
            words += " (the hub follows no redirects: set url to its target)"
        after_s = retry_after_s(answer.headers.get("Retry-After"), self._now())
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
