"""Downloading one file over HTTP: resumes what a broken connection left, retries, and stops at a cap.

1. What is there already is asked for no more (`Range`); a server that ignores this sends all of it again.
2. A broken connection, a time-out or a server's own trouble (408, 425, 429, 5xx) is tried again after a
   full-jitter back-off; any other refusal ends it.
3. No validator is sent (`If-Range`): the caller compares the checksum, which also catches a file that
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
"""Called with the bytes there are, and the bytes there will be if the server tells."""

TIMEOUT_S: Final = 30.0
"""Longest silence of the server."""
_BLOCK_BYTES: Final = 1 << 18
_PASSING: Final = frozenset({408, 425, 429, *range(500, 600)})
"""Answers that may be another the next time. Source: RFC 9110, section 15; RFC 6585; RFC 8470."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a download is tried, and how long it waits in between.

    Attributes:
        attempts: tries in all, from 1.
        first_s: longest wait after the first failure; doubles with each.
        most_s: longest wait of all.
    """

    attempts: int = 5
    first_s: float = 1.0
    most_s: float = 30.0

    def wait_s(self, failures: int, chance: random.Random) -> float:
        """How long to wait after so many failures (from 1): anything up to the longest (full jitter)."""
        return chance.uniform(0.0, min(self.most_s, self.first_s * 2.0 ** (failures - 1)))


class _TransientError(Exception):
    """This attempt failed, another may not."""


def download(
    url: str,
    part: Path,
    *,
    max_bytes: int,
    patience: RetryPolicy,
    tick: Tick = lambda _done, _total: None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Bring a file here; what `part` holds already is kept and continued.

    Args:
        url: an http or https address; https is never redirected to http.
        part: where the bytes are collected; left behind on failure, so that the next call goes on.
        max_bytes: a longer file is refused.
        patience: when to give up.
        tick: told about progress.
        wait: sleeps for so many seconds.

    Raises:
        Invalid: not an http address, or a file beyond the cap; `part` is removed.
        Unavailable: the server cannot be reached or refuses, or the disk does.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise InvalidError(f"{url} is not an http or https address")
    chance = random.Random()  # noqa: S311 - spreads retries, keeps no secret
    for failures in range(1, patience.attempts + 1):
        try:
            return _attempt(url, part, max_bytes, tick)
        except _TransientError as error:
            if failures == patience.attempts:
                raise UnavailableError(f"{url} failed {failures} times, at last with: {error}") from error
        except OSError as error:
            raise UnavailableError(f"cannot write {part}: {error.strerror}") from error
        wait(patience.wait_s(failures, chance))
    raise InvalidError(f"{patience.attempts} attempts are none")


def content_range(status: int, headers: Message, have: int) -> tuple[int, int | None] | None:
    """What an answer holds of the file, when its first bytes are here already.

    Args:
        status: 200, 206 or 416.
        headers: of the answer.
        have: bytes that are here already.

    Returns:
        Where the answer's first byte belongs and the file's length (None if the server does not tell), or
        None if the answer does not continue what is here. Equal numbers: all of it is here.

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
    """One request. Errors of the network are `_Broken`, so that `OSError` means the disk."""
    have = part.stat().st_size if part.exists() else 0
    with _ask(url, have) as response:
        there = content_range(response.status or 0, response.headers, have)
        if there is None:
            part.unlink(missing_ok=True)
            raise _TransientError("what is here already is no beginning of the server's file; it starts over")
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
    """Send the request; what is returned has status 200, 206 or, if something is here already, 416."""
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
    return InvalidError(f"{url} is longer than {max_bytes} bytes: it is not the file wanted")


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
