"""Download of one file over HTTP that resumes, retries, and limits the size.

1. The client requests only the missing bytes (`Range`); a server that ignores this sends the whole file.
2. After a broken connection, a time-out or status 408, 425, 429 or 5xx the client retries with a full-jitter
   back-off; any other error status ends the download.
3. The client sends no validator (`If-Range`): the caller compares the checksum, which also detects a file that
   changed on the server in between.
"""

import http.client
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from shared.errors import InvalidError, UnavailableError

Tick = Callable[[int, int | None], None]
"""Called with the bytes received, and the total bytes if the server sends them."""

TIMEOUT_S: Final = 30.0
"""Longest silence of the server."""
_BLOCK_BYTES: Final = 1 << 18
_PASSING: Final = frozenset({408, 425, 429, *range(500, 600)})
"""Status codes that are retried. Source: RFC 9110, section 15; RFC 6585; RFC 8470."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of a download.

    Attributes:
        attempts: number of attempts, from 1.
        first_s: longest wait after the first failure, s; doubles with each failure.
        most_s: upper limit of any wait, s.
    """

    attempts: int = 5
    first_s: float = 1.0
    most_s: float = 30.0

    def wait_s(self, failures: int, chance: random.Random) -> float:
        """Draw the wait after a number of failures (from 1), s: uniform up to the longest (full jitter)."""
        return chance.uniform(0.0, min(self.most_s, self.first_s * 2.0 ** (failures - 1)))


class _TransientError(Exception):
    """An attempt failed in a way that a retry may fix."""


def download(
    url: str,
    part: Path,
    *,
    max_bytes: int,
    patience: RetryPolicy,
    tick: Tick = lambda _done, _total: None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file; continue what `part` already contains.

    Args:
        url: an http or https address; https is never redirected to http.
        part: file that collects the bytes; kept on failure, so that the next call continues it.
        max_bytes: a longer file is rejected.
        patience: the retry policy.
        tick: called with the progress.
        wait: sleeps for a time in s.

    Raises:
        InvalidError: the address is not http or https, or the file is longer than `max_bytes`; `part` is then
            removed.
        UnavailableError: the server cannot be reached or rejects the request, or the file cannot be written.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise InvalidError(f"{url} is not an http or https address")
    chance = random.Random()  # noqa: S311 - spreads retries, keeps no secret
    for failures in range(1, patience.attempts + 1):
        try:
            return _attempt(url, part, max_bytes, tick)
        except _TransientError as error:
            if failures == patience.attempts:
                raise UnavailableError(f"{url} failed {failures} times, the last time with: {error}") from error
        except OSError as error:
            raise UnavailableError(f"cannot write {part}: {error.strerror}") from error
        wait(patience.wait_s(failures, chance))
    raise InvalidError(f"a download needs at least 1 attempt, not {patience.attempts}")


def content_range(status: int, headers: Message, have: int) -> tuple[int, int | None] | None:
    """Return which part of the file a response contains.

    Args:
        status: 200, 206 or 416.
        headers: headers of the response.
        have: bytes already received.

    Returns:
        Offset of the first byte in the response and length of the file (None if the server does not send it), or
        None if the response does not continue the received bytes. Equal numbers: the file is complete.

    Source: RFC 9110, sections 14.4, 15.3.7 and 15.5.17.
    """
    if status == http.client.OK:
        length = headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", ""))
    if found is None:
        return None
    start = int(found[1]) if found[1] else have
    total = None if found[2] == "*" else int(found[2])
    begins = status == http.client.PARTIAL_CONTENT and found[1] is not None and start == have
    complete = status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and total == have
    return (have, total) if begins or complete else None


def _attempt(url: str, part: Path, max_bytes: int, tick: Tick) -> None:
    """Send one request. Network errors become `_TransientError`, so that `OSError` means a disk error."""
    have = part.stat().st_size if part.exists() else 0
    with _ask(url, have) as response:
        there = content_range(response.status or 0, response.headers, have)
        if there is None:
            part.unlink(missing_ok=True)
            raise _TransientError("the bytes received before do not match the server's file; the download restarts")
        done, total = there
        if max(done, total or 0) > max_bytes:
            raise _too_long(url, part, max_bytes)
        tick(done, total)
        if 0 < done == total:
            return
        with part.open("ab") as file:
            file.truncate(done)
            for block in _blocks(response):
                done += len(block)
                if done > max_bytes:
                    raise _too_long(url, part, max_bytes)
                file.write(block)
                tick(done, total)
    if total is not None and done < total:
        raise _TransientError(f"the connection ended after {done} of {total} bytes")


def _ask(url: str, have: int) -> http.client.HTTPResponse | urllib.error.HTTPError:
    """Send the request; return a response of status 200, 206 or, if `have` is positive, 416."""
    headers = {"User-Agent": "earwitness-hub"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme is checked
    try:
        response: http.client.HTTPResponse = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error
        if error.code in _PASSING:
            raise _TransientError(f"{error.code} {error.reason}") from error
        raise UnavailableError(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _TransientError(str(reason) or type(error).__name__) from error
    return response


def _blocks(response: http.client.HTTPResponse | urllib.error.HTTPError) -> Iterator[bytes]:
    try:
        while block := response.read(_BLOCK_BYTES):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(str(error) or type(error).__name__) from error


def _too_long(url: str, part: Path, max_bytes: int) -> InvalidError:
    part.unlink(missing_ok=True)
    return InvalidError(f"{url} is longer than {max_bytes} bytes: it is not the expected file")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in {"https", urlsplit(req.full_url).scheme}:
            raise UnavailableError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
