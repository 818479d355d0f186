"""Read and write the tags of a FLAC file without decoding its audio.

Source: RFC 9639, 8 (metadata blocks) and 8.6 (Vorbis comment).
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from shared.errors import InvalidError

_MAGIC: Final = b"fLaC"
_LAST: Final = 0x80
_COMMENT: Final = 4
_VENDOR: Final = b"earwitness"
_MAX_BLOCK_BYTES: Final = 2**24 - 1


def with_tags(flac: bytes, tags: Mapping[str, str]) -> bytes:
    """Return a FLAC file with these tags instead of its own; its audio is unchanged.

    Args:
        flac: bytes of a FLAC file.
        tags: values by name, in upper case.

    Raises:
        InvalidError: not a FLAC file, damaged metadata, or tags of more than 16 MB.
    """
    kept = [(kind, block) for kind, block in _blocks(flac) if kind != _COMMENT]
    audio = flac[_end_of_metadata(flac) :]
    comment = struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", len(tags))
    for name, value in tags.items():
        text = f"{name}={value}".encode()
        comment += struct.pack("<I", len(text)) + text
    if len(comment) > _MAX_BLOCK_BYTES:
        raise InvalidError("the tags are too long for a FLAC file")
    written = [*kept, (_COMMENT, comment)]  # the stream's description comes first
    parts = [_MAGIC]
    for number, (kind, block) in enumerate(written, start=1):
        parts += [struct.pack(">I", ((_LAST if number == len(written) else 0) | kind) << 24 | len(block)), block]
    return b"".join([*parts, audio])


def read_tags(flac: bytes) -> dict[str, str]:
    """Return the tags of a FLAC file by name, in upper case; empty without.

    Raises:
        InvalidError: not a FLAC file, or damaged metadata.
    """
    tags: dict[str, str] = {}
    for kind, block in _blocks(flac):
        if kind == _COMMENT:
            try:
                tags |= dict(_comments(block))
            except (struct.error, UnicodeDecodeError) as error:
                raise InvalidError("the tags of the FLAC file are damaged") from error
    return tags


def _comments(block: bytes) -> Iterator[tuple[str, str]]:
    (vendor,) = struct.unpack_from("<I", block)
    (count,) = struct.unpack_from("<I", block, 4 + vendor)
    at = 8 + vendor
    for _ in range(count):
        (length,) = struct.unpack_from("<I", block, at)
        name, _, value = block[at + 4 : at + 4 + length].decode().partition("=")
        yield name.upper(), value
        at += 4 + length


def _blocks(flac: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each metadata block."""
    for kind, start, end in _spans(flac):
        yield kind, flac[start:end]


def _end_of_metadata(flac: bytes) -> int:
    return max(end for _, _, end in _spans(flac))


def _spans(flac: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and end of each metadata block.

    Raises:
        InvalidError: not a FLAC file, or a block beyond its end.
    """
    if not flac.startswith(_MAGIC):
        raise InvalidError("the audio is not a FLAC stream")
    at, last = len(_MAGIC), False
    while not last:
        if at + 4 > len(flac):
            raise InvalidError("the metadata of the FLAC file ends early")
        (head,) = struct.unpack_from(">I", flac, at)
        start, end = at + 4, at + 4 + (head & _MAX_BLOCK_BYTES)
        if end > len(flac):
            raise InvalidError("the metadata of the FLAC file ends early")
        yield (head >> 24) & ~_LAST, start, end
        last, at = bool(head >> 24 & _LAST), end
