"""Repair WAV headers that state too few bytes, because a recorder lost power before it wrote the final sizes.

libsndfile trusts such a `data` chunk. `with_true_size` presents such a file with its true size.
A size that is too large needs no repair: libsndfile reads to the end of the file.
Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF); EBU Tech 3306 (RF64, ds64).
"""

import io
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

MAX_CHUNKS: Final = 1_000
"""A header with more chunks before the `data` chunk is invalid."""
_WHOLE_S: Final = 1.0
"""Bytes after a `data` chunk with a size are audio if they last at least this many seconds and are no chunks."""
_LOOKED_AT: Final = 16 * 1024**2
"""Most bytes to read after the stated audio; one second of any readable audio is shorter."""
_LARGEST: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class _Header:
    """Position and size of the audio.

    Attributes:
        order: byte order for `struct`.
        data_at: position of the first byte of audio.
        stated: bytes of audio according to the header.
        bytes_per_s: bytes per second of the format; 0 if the header has none.
        ds64_at: position of the 64-bit size of the audio in an RF64 file, else None.
    """

    order: str
    data_at: int
    stated: int
    bytes_per_s: int
    ds64_at: int | None


class _Patched(io.RawIOBase):
    """A file in which some bytes are replaced when it is read."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        self._file = file
        self._patches = patches

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        begin = self._file.tell()
        view = memoryview(buffer)
        data = self._file.read(len(view))
        view[: len(data)] = data
        for at, patch in self._patches.items():
            for index, value in enumerate(patch, at - begin):
                if 0 <= index < len(data):
                    view[index] = value
        return len(data)


def with_true_size(file: BinaryIO) -> tuple[BinaryIO | io.RawIOBase, str | None]:
    """Present a WAV file with the true size of its audio, and describe the repair.

    Args:
        file: any seekable file; its position is at the beginning afterwards.

    Returns:
        The file itself and None if it needs no repair or is not a WAV file. Otherwise a file that reads as if the
        header were right, and the description of the fault.
    """
    header = _header(file)
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    if header is None:
        return file, None
    true_bytes = end - header.data_at
    if header.stated >= true_bytes or not _is_sound(file, header, end):
        file.seek(0)
        return file, None
    file.seek(0)
    size = struct.pack(f"{header.order}I", min(true_bytes, _LARGEST))
    patches = {4: struct.pack(f"{header.order}I", min(end - 8, _LARGEST)), header.data_at - 4: size}
    if header.ds64_at is not None:
        patches = {header.ds64_at: struct.pack(f"{header.order}Q", true_bytes)}
    lasts = f", which last {true_bytes / header.bytes_per_s:.1f} s" if header.bytes_per_s else ""
    fault = f"its header states {header.stated} bytes of sound, it holds {true_bytes}{lasts}: all of them are used"
    return _Patched(file, patches), fault


def _header(file: BinaryIO) -> _Header | None:
    """Return the header of a RIFF, RIFX or RF64 file; None for another file, or one that ends before its audio."""
    file.seek(0)
    start = file.read(12)
    if start[:4] not in {b"RIFF", b"RIFX", b"RF64"} or start[8:] != b"WAVE":
        return None
    order = ">" if start[:4] == b"RIFX" else "<"
    bytes_per_s, ds64_at, ds64 = 0, None, 0
    for _ in range(MAX_CHUNKS):
        at = file.tell()
        head = file.read(8)
        if len(head) < 8:
            return None
        size = int(struct.unpack(f"{order}I", head[4:])[0])
        if head[:4] == b"data":
            wide = ds64_at is not None and size == _LARGEST
            return _Header(order, at + 8, ds64 if wide else size, bytes_per_s, ds64_at if wide else None)
        if head[:4] == b"fmt " and len(body := file.read(12)) == 12:
            bytes_per_s = int(struct.unpack(f"{order}I", body[8:12])[0])
        if head[:4] == b"ds64" and len(body := file.read(16)) == 16:
            ds64_at, ds64 = at + 16, int(struct.unpack(f"{order}Q", body[8:16])[0])
        file.seek(at + 8 + size + size % 2)
    return None


def _is_sound(file: BinaryIO, header: _Header, end: int) -> bool:
    """Return whether the bytes after the stated audio are audio, and not chunks, padding or a stray tag."""
    rest_at = header.data_at + header.stated
    if any(_ends_in_chunks(file, at, end, header.order) for at in (rest_at, rest_at + header.stated % 2)):
        return False
    if header.stated == 0:
        return True
    second = int(_WHOLE_S * header.bytes_per_s)
    file.seek(rest_at)
    return end - rest_at >= max(second, 1) and any(file.read(min(max(second, 1), _LOOKED_AT)))


def _ends_in_chunks(file: BinaryIO, at: int, end: int, order: str) -> bool:
    """Return whether consecutive chunks fill a file from this position to its end."""
    for _ in range(MAX_CHUNKS):
        if end - at <= 1:
            return True
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not all(0x20 <= byte < 0x7F for byte in head[:4]):
            return False
        size = int(struct.unpack(f"{order}I", head[4:])[0])
        at += 8 + size + size % 2
        if at > end + 1:
            return False
    return False
