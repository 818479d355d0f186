"""File paths: expand `~`, list the files below a folder, and print names safely.

The listing follows links to folders. It counts and names the files that it skips.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.errors import InvalidError

NAMED: Final = 3
"""At most this many skipped files are named per reason."""


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced by the home directory.

    Raises:
        InvalidError: this user has no home directory, or the named user does not exist.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InvalidError(
            f"{printable(path)}: uid {os.getuid()} has no home directory to replace ~: set HOME, or give an absolute"
            " path"
        ) from error


def printable(path: Path | str) -> str:
    r"""Return a name or a text as one line without control characters; these become escapes, ESC becomes `\x1b`.

    A byte of a file name that is not UTF-8 becomes an escape as well.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in os.fspath(path))


def _escaped(character: str) -> str:
    code = ord(character) - 0xDC00  # a byte that could not be decoded (PEP 383)
    return f"\\x{code:02x}" if 0x80 <= code <= 0xFF else character.encode("unicode_escape").decode()


@dataclass(slots=True)
class FolderListing:
    """The files below a folder.

    Attributes:
        files: files with the requested suffixes, sorted by path.
        skipped: names of the other files, by reason, such as `.mp3`.
    """

    files: list[Path] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skipped_summary(self) -> str:
        """Return the skipped files as text, the most frequent reason first; empty if none was skipped."""
        parts = []
        for reason, count in Counter({reason: len(names) for reason, names in self.skipped.items()}).most_common():
            names = sorted(self.skipped[reason])
            more = ", ..." if count > NAMED else ""
            parts.append(f"{count} {reason} ({', '.join(names[:NAMED])}{more})")
        return "; ".join(parts)


def files_below(root: Path, suffixes: Collection[str]) -> FolderListing:
    """Find the files below a folder at any depth; follow links to folders, and read each folder once.

    Args:
        root: the folder, or one file, which is then the only result under any name.
        suffixes: suffixes of the requested files, lower case, with the dot.
    """
    below = FolderListing()
    if root.is_file():
        below.files.append(root)
        return below
    for path, reason in _walked(root):
        suffix = path.suffix.lower()
        if reason is None and suffix in suffixes:
            below.files.append(path)
        else:
            names = below.skipped.setdefault(reason or suffix or "without a suffix", [])
            names.append(printable(path.relative_to(root)))
    below.files.sort()
    return below


def _walked(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield every file below a folder with the reason to skip it, or None; yield a folder only if it is skipped."""
    entered: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            facts = folder.stat()
            if (facts.st_dev, facts.st_ino) in entered:
                yield folder, "reached before"
                continue
            entered.add((facts.st_dev, facts.st_ino))
            children = sorted(folder.iterdir(), reverse=True)
        except OSError:
            yield folder, "that cannot be opened"
            continue
        for path in children:
            if path.name.startswith("._"):
                yield path, "companions of macOS"
            elif path.name.startswith("."):
                yield path, "hidden"
            elif os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder may not be entered
                waiting.append(path)
            elif os.path.isfile(path):  # noqa: PTH113
                yield path, None
            else:
                yield path, "dead links" if path.is_symlink() else "that are no files"
