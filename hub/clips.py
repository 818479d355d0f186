"""Where the clips' audio is kept: a directory, not the store (50 sensors make 86 GB of audio a day)."""

import os
from pathlib import Path

from shared.errors import Unavailable
from shared.events import Event, Flac


class Clips:
    """A directory of FLAC files, one per event: `<site>/<sensor>/<date>/<event id>.flac`.

    Args:
        root: the directory; made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, event: Event, audio: Flac) -> str:
        """Write an event's audio, whole or not at all; the same event again overwrites itself.

        Returns:
            The path below the directory.

        Raises:
            Unavailable: the disk is full or the directory cannot be written.
        """
        path = self.path_of(event)
        partial = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(audio.data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise Unavailable(f"cannot keep the clip in {self._root}: {error.strerror}") from error
        return self.below_root(path)

    def path_of(self, event: Event) -> Path:
        """Return the file of an event's audio, whether it is there or not."""
        date = event.captured_at.date().isoformat()
        return self._root / event.site / event.id.sensor / date / f"{event.id}.flac"

    def below_root(self, path: Path) -> str:
        """Return a file's path below the directory, as the archive keeps it."""
        return str(path.relative_to(self._root))

    def remove(self, clip: str) -> None:
        """Delete an event's audio, if it is there."""
        if clip:
            (self._root / clip).unlink(missing_ok=True)
