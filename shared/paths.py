"""Names of files: `~` in them, what is below a folder, and how they are told.

A folder that a link leads to belongs to what is below a folder. What is passed over is counted and named.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.errors import InvalidError

NAMED: Final = 3
"""So many of what is passed over are told by name."""


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced by the home directory.

    Raises:
        Invalid: this user has none, or there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InvalidError(
            f"{printable(path)}: uid {os.getuid()} has no home directory that ~ could stand for: set HOME, or write"
            " the whole path"
        ) from error


def printable(path: Path | str) -> str:
    r"""Return a name or a text as one line that commands no terminal: control characters as escapes, ESC as `\x1b`.

    A byte of a file's name that is no UTF-8 becomes an escape as well.
    """
    return "".join(one if one.isprintable() else _escaped(one) for one in os.fspath(path))


def _escaped(character: str) -> str:
    code = ord(character) - 0xDC00  # of a byte that could not be decoded (PEP 383)
    return f"\\x{code:02x}" if 0x80 <= code <= 0xFF else character.encode("unicode_escape").decode()


@dataclass(slots=True)
class Below:
    """What is below a folder.

    Attributes:
        files: those that were wanted, sorted by path.
        passed: names of what was passed over, by reason, such as `.mp3`.
    """

    files: list[Path] = field(default_factory=list)
    passed: dict[str, list[str]] = field(default_factory=dict)

    def told(self) -> str:
        """What was passed over in words, the most frequent first; empty if nothing was."""
        words = []
        for reason, count in Counter({reason: len(names) for reason, names in self.passed.items()}).most_common():
            names = sorted(self.passed[reason])
            more = ", ..." if count > NAMED else ""
            words.append(f"{count} {reason} ({', '.join(names[:NAMED])}{more})")
        return "; ".join(words)


def files_below(root: Path, suffixes: Collection[str]) -> Below:
    """Find files anywhere below a folder, in folders behind links too, each folder once.

    Args:
        root: the folder, or one file, which is then the only one, whatever its name.
        suffixes: of the files that are wanted, lower case, with the dot.
    """
    below = Below()
    if root.is_file():
        below.files.append(root)
        return below
    for path, reason in _walked(root):
        suffix = path.suffix.lower()
        if reason is None and suffix in suffixes:
            below.files.append(path)
        else:
            names = below.passed.setdefault(reason or suffix or "without a suffix", [])
            names.append(printable(path.relative_to(root)))
    below.files.sort()
    return below


def _walked(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield every file below a folder with why it is passed over, or None; a folder only if it is passed over."""
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
