"""Audio files of clips: in a directory, not in the store (50 sensors make 86 GB of audio a day)."""

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import IO, Final

from shared.errors import InvalidError, UnavailableError
from shared.events import Event, Flac
from shared.sealed_sound import SUFFIX as SEALED_SUFFIX
from shared.sealed_sound import SealedSound

SETTLED_S: Final = 3_600.0
"""A file that is younger may be of an event that is yet to be archived."""
SUFFIXES: Final = (".flac", SEALED_SUFFIX)
PARTIAL: Final = ".part"
"""Suffix of a file that is being written, or that a crash left behind."""
_CLIP: Final = re.compile(r"(?:[a-z0-9_][a-z0-9_-]*/)+[a-z0-9][a-z0-9.-]*\.(?:flac|age)", re.ASCII)


class AudioFileStore:
    """A directory of files, one per event: `<site>/<sensor>/<date>/<event id>.flac`, or `.age` of sealed audio.

    Args:
        root: the directory; made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, event: Event, audio: Flac | SealedSound) -> str:
        """Write an event's audio, whole or not at all; the same event again overwrites itself.

        Returns:
            The path below the directory.

        Raises:
            UnavailableError: the disk is full or the directory cannot be written.
        """
        path = self.path_of(event)
        if isinstance(audio, SealedSound):
            path = path.with_suffix(SEALED_SUFFIX)
        partial = path.with_suffix(PARTIAL)
        with self._translated("keep the clip"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(audio.data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        return self.below_root(path)

    def copy(self, clip: str, to: str) -> str:
        """Copy an event's audio, whole or not at all, to where no retention looks.

        Args:
            clip: path below the directory.
            to: the copy's path below the directory; its first folder begins as no site's name does.

        Returns:
            `to`.

        Raises:
            UnavailableError: the disk is full, or the file is not there.
        """
        path = self._root / to
        partial = path.with_suffix(PARTIAL)
        with self._translated("copy a clip"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with (self._root / clip).open("rb") as source, partial.open("wb") as file:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        return to

    def path_of(self, event: Event) -> Path:
        """Return the file of an event's audio in clear, whether it is there or not."""
        date = event.captured_at.date().isoformat()
        return self._root / event.site / event.id.sensor / date / f"{event.id}.flac"

    def below_root(self, path: Path) -> str:
        """Return a file's path below the directory, as the archive keeps it."""
        return str(path.relative_to(self._root))

    def remove(self, clip: str) -> None:
        """Delete an event's audio, if it is there.

        Raises:
            UnavailableError: the directory cannot be written.
        """
        if clip:
            with self._translated("remove the clip"):
                (self._root / clip).unlink(missing_ok=True)

    def captured_until(self, last: date) -> Iterator[dict[Path, str]]:
        """Yield the settled files of each sensor and day until a date, each with the id of its event.

        Raises:
            UnavailableError: the directory cannot be read.
        """
        with self._translated("read the clips"):
            for sensor in self._root.glob("*/*"):
                for day in sensor.iterdir() if sensor.is_dir() else ():
                    if _is_until(day.name, last):
                        settled = time.time() - SETTLED_S
                        yield {file: file.stem for file in day.iterdir() if file.stat().st_mtime < settled}

    def all_files(self, suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[str]:
        """Yield the path below the directory of each file of sound, named sounds' copies included.

        Args:
            suffixes: of the files; by default those of complete ones.

        Raises:
            UnavailableError: the directory cannot be read.
        """
        with self._translated("read the clips"):
            for folder, _, names in os.walk(self._root, onerror=_raised):
                for name in sorted(names):
                    if name.endswith(suffixes):
                        yield self.below_root(Path(folder) / name)

    @contextmanager
    def opened(self, clip: str) -> Iterator[tuple[IO[bytes], int] | None]:
        """Open a file by its path below the directory: the file and its bytes; None if it is not there.

        Raises:
            UnavailableError: it cannot be read.
        """
        with ExitStack() as stack:
            stack.enter_context(self._translated("read a clip"))
            try:
                file = stack.enter_context((self._root / clip).open("rb"))
            except FileNotFoundError:
                yield None
                return
            yield file, os.fstat(file.fileno()).st_size

    def restore(self, clip: str, content: IO[bytes]) -> None:
        """Write a file of a backup, whole or not at all.

        Args:
            clip: path below the directory.
            content: of the file.

        Raises:
            InvalidError: this is no path of a file of sound.
            UnavailableError: the disk is full or the directory cannot be written.
        """
        if not _CLIP.fullmatch(clip):
            raise InvalidError(f"{clip!r} is no path of a file of sound")
        path = self._root / clip
        partial = path.with_suffix(PARTIAL)
        with self._translated("restore a clip"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)

    def has_folder(self, place: str) -> bool:
        """Return whether a `site/sensor`, or a site, has a folder."""
        return (self._root / place).is_dir()

    def remove_empty_folders(self, place: str) -> None:
        """Remove the folders of a `site/sensor`, or of a site, that hold nothing."""
        for folder, _, _ in os.walk(self._root / place, topdown=False):
            with suppress(OSError):  # it is not empty
                Path(folder).rmdir()

    def remove_files(self, files: Iterable[Path]) -> None:
        """Delete files of `captured_until`, and the directory of a day that is empty then.

        Raises:
            UnavailableError: the directory cannot be written.
        """
        with self._translated("remove clips"):
            for file in files:
                file.unlink(missing_ok=True)
                with suppress(OSError):  # there are others
                    file.parent.rmdir()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnavailableError(f"cannot {what} in {self._root}: {error.strerror}") from error


def _raised(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # retention removes folders
        raise error


def _is_until(day: str, last: date) -> bool:
    try:
        return date.fromisoformat(day) <= last
    except ValueError:  # no directory of ours
        return False
