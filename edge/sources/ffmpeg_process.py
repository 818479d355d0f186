"""A process of ffmpeg that decodes a network stream into raw samples.

1. ffmpeg reads the address from a pipe (an ffconcat script), because arguments are visible to all users.
2. It runs in a process group of its own, without standard input and shell. `stop` ends the whole group.
3. It may open network protocols only: a playlist of a server cannot name files of the sensor.
4. One thread puts its samples into a queue with the time of their arrival. Another one keeps its last error.

Source: FFmpeg 5.1, ffmpeg-formats(1), section concat; ffmpeg-protocols(1).
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import numpy as np

from edge.sources.live_blocks import BLOCK_S, BlockQueue
from shared.errors import UnavailableError
from shared.paths import printable

PROTOCOLS: Final = ("pipe", "rtp", "srtp", "udp", "tcp", "tls", "http", "https", "httpproxy", "crypto")
"""Protocols that ffmpeg may open; `pipe` is for the address."""
END_S: Final = 2.0
"""Seconds that ffmpeg may take to end after it was killed, or after it closed its output."""
_SAMPLE: Final = np.dtype("<f4")
_LINE_BYTES: Final = 4_096
_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://[^\s'\"]+")
_PREFIX: Final = re.compile(r"^\[\S+ @ 0x[0-9a-f]+\] |^pipe:\d+: ")
_OWN_VARIABLES: Final = "EARWITNESS_"
"""Variables of the sensor begin with this; they may hold passwords, so ffmpeg does not get them."""


def public_address(url: str) -> str:
    """Return scheme, host and port of a URL: without user name, password, path and query."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


class FfmpegProcess:
    """One run of ffmpeg.

    Args:
        program: path or name of ffmpeg.
        url: address of the stream; it must contain no quotes and no white space.
        rate_hz: sample rate of the samples to deliver, in Hz.
        silent_s: a server that sends nothing for this many seconds has failed. After twice that time ffmpeg ends by
            itself, so that none is left where the sensor was killed.

    Attributes:
        blocks: the samples of the stream's first channel.

    Raises:
        UnavailableError: ffmpeg is missing or cannot be started.
    """

    def __init__(self, program: Path, url: str, *, rate_hz: int, silent_s: float) -> None:
        self._url = url
        self._block_bytes = round(BLOCK_S * rate_hz) * _SAMPLE.itemsize
        self._last_line = ""
        self.blocks: Final = BlockQueue(f"stream {public_address(url)}", silent_s)
        path = shutil.which(program)
        if path is None:
            raise UnavailableError(
                f"there is no program {printable(program)}: `apt install ffmpeg`, or set stream.ffmpeg to its path"
            )
        script, give = os.pipe()
        try:
            os.write(give, _script(url, silent_s).encode())
            os.close(give)
            self._process = subprocess.Popen(  # noqa: S603 - the program of the settings, no shell
                [path, *_arguments(script, rate_hz)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(script,),
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)},
            )
        except OSError as error:
            raise UnavailableError(f"{printable(program)} cannot be started: {error.strerror}") from error
        finally:
            os.close(script)
        self._errors = threading.Thread(target=self._keep_errors, name="ffmpeg-errors", daemon=True)
        self._samples = threading.Thread(target=self._keep_samples, name="ffmpeg-samples", daemon=True)
        self._errors.start()
        self._samples.start()

    def reason(self) -> str:
        """Return the last line of ffmpeg's errors, without the address; call it after the last block."""
        self._errors.join(END_S)
        return self._last_line

    def stop(self) -> None:
        """Kill ffmpeg and what it started, and wait for it; nothing waits for it before, so its id stays its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        for thread in (self._samples, self._errors):
            thread.join(END_S)

    def _keep_samples(self) -> None:
        with _opened(self._process.stdout) as output:
            while data := output.read(self._block_bytes):
                whole = len(data) // _SAMPLE.itemsize
                self.blocks.put(np.frombuffer(data, _SAMPLE, whole).astype(np.float32))
        self.blocks.finish()

    def _keep_errors(self) -> None:
        with _opened(self._process.stderr) as errors:
            while line := errors.readline(_LINE_BYTES):
                if words := line.decode(errors="replace").strip():
                    self._last_line = self._without_address(words)

    def _without_address(self, line: str) -> str:
        line = _PREFIX.sub("", line.replace(self._url, public_address(self._url)))
        return _URL.sub(_redacted, line)


def _redacted(found: re.Match[str]) -> str:
    try:
        return public_address(found[0])
    except ValueError:
        return f"{found['scheme']}://..."


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("the process was started with pipes")
    return pipe


def _script(url: str, silent_s: float) -> str:
    """Return the ffconcat script that names the stream; each protocol takes the options that it has."""
    patience_us = round(2e6 * silent_s)
    options = {"rtsp_transport": "tcp", "timeout": patience_us, "rw_timeout": patience_us}
    lines = ["ffconcat version 1.0", f"file '{url}'", *(f"option {name} {value}" for name, value in options.items())]
    return "\n".join(lines) + "\n"


def _arguments(script: int, rate_hz: int) -> list[str]:
    """Return the arguments of ffmpeg: the stream's first channel as float32 at a rate, on its standard output."""
    quiet = ["-nostdin", "-hide_banner", "-loglevel", "error"]
    source = ["-protocol_whitelist", ",".join(PROTOCOLS), "-f", "concat", "-safe", "0", "-i", f"pipe:{script}"]
    sound = ["-vn", "-sn", "-dn", "-af", "pan=mono|c0=c0", "-ar", str(rate_hz)]
    return [*quiet, *source, *sound, "-f", "f32le", "pipe:1"]
