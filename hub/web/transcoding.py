"""Decode m4a (AAC or ALAC in MP4), which phones record and libsndfile does not read, with the program ffmpeg.

ffmpeg gets one container format, three decoders, no network, a limited time and a limited output.
"""

import shutil
import subprocess
import tempfile
from typing import Final

from shared.errors import InvalidError

_TIMEOUT_S: Final = 20.0
_MOST_BYTES: Final = "100M"
"""A minute of eight channels at 96 kHz, 16 bit."""
_OPTIONS: Final = ("-nostdin", "-v", "error", "-protocol_whitelist", "file", "-codec_whitelist", "aac,alac,mp3")
_OUTPUT: Final = ("-map", "0:a:0", "-fs", _MOST_BYTES, "-c:a", "pcm_s16le", "-f", "wav", "pipe:1")


def is_mp4(data: bytes) -> bool:
    """Return whether a file begins like MP4, as m4a does. Source: ISO/IEC 14496-12, 4.3."""
    return data[4:8] == b"ftyp"


def mp4_to_wav(data: bytes, longest_s: float) -> bytes:
    """Decode the first audio track of an MP4 file.

    Args:
        data: content of the file.
        longest_s: time after which the result is cut, in seconds.

    Returns:
        The content of a wav file.

    Raises:
        InvalidError: ffmpeg is not installed, or cannot decode the file; the text states what to do.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise InvalidError(
            "to read m4a, the hub needs ffmpeg: install it on the hub's machine (apt-get install ffmpeg), or convert"
            " the file"
        )
    with tempfile.NamedTemporaryFile(prefix="earwitness-upload-", suffix=".m4a") as file:
        file.write(data)
        file.flush()
        command = [program, *_OPTIONS, "-f", "mov", "-t", f"{longest_s:g}", "-i", file.name, *_OUTPUT]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - fixed
        except subprocess.TimeoutExpired as error:
            raise InvalidError(f"ffmpeg took more than {_TIMEOUT_S:.0f} s to decode the m4a file") from error
    if done.returncode != 0 or not done.stdout:
        raise InvalidError("ffmpeg finds no AAC or ALAC sound in the m4a file")
    return done.stdout
