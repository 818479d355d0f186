"""Snapshots of the in-process index: a file per chunk, so that a start does not compute everything again.

A full chunk changes only by deleted rows, which the archive lists at the start; so only chunks that are new or grew
are written. A file that cannot be read is left out with a warning: its events come from the archive.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hub.search.memory.index import MemoryIndex
from hub.search.memory.segment import ROWS, Segment, empty
from hub.search.memory.sketch_products import columns, kept
from shared.errors import UnavailableError

log = logging.getLogger(__name__)

_FORMAT: Final = "earwitness-index/1"
_COLUMNS: Final = ("towers", "captured_ms", "place", "laeq", "present", "deleted")
_KEY: Final = "earwitness"


class IndexSnapshot:
    """The snapshot of one index.

    Args:
        folder: where snapshots are; each feature space and network has a folder of its own in it.
        index: what is saved and loaded.
    """

    def __init__(self, folder: Path, index: MemoryIndex) -> None:
        self._index = index
        scorer = index.scorer
        self.folder = folder / f"{scorer.space.id.replace('/', '-')}-{scorer.fingerprint}"
        self._written: dict[int, int] = {}

    def save(self) -> int:
        """Write what is new since the last time.

        Returns:
            How many files were written.

        Raises:
            UnavailableError: a file cannot be written; what was there before stays.
        """
        chunks = self._index.chunks()
        names = self._index.names()
        written = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for number, (chunk, count) in chunks.items():
                if count and self._written.get(number) != count:
                    self._write(number, chunk, count, names)
                    self._written[number] = count
                    written += 1
            for path in self.folder.glob("chunk-*.safetensors"):
                if _number(path) not in chunks:
                    path.unlink()
        except (OSError, SafetensorError) as error:
            raise UnavailableError(f"cannot write the snapshot in {self.folder}: {error}") from error
        return written

    def load(self, progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """Fill the index from the files that are there.

        Args:
            progress: called with (files read, of how many).

        Returns:
            Events loaded.
        """
        paths = sorted(self.folder.glob("chunk-*.safetensors"), key=_number)
        for done, path in enumerate(paths, 1):
            try:
                chunk, names = self._read(path)
            except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
                log.warning("snapshot file left out", extra={"path": str(path), "reason": str(error)})
                continue
            self._index.load_segment(_number(path), chunk, names)
            self._written[_number(path)] = len(chunk.events)
            progress(done, len(paths))
        return len(self._index)

    def _write(self, number: int, chunk: Segment, count: int, names: list[str]) -> None:
        document = {"format": _FORMAT, "rows": count, "places": names, "fingerprint": self._index.scorer.fingerprint}
        tensors = {name: torch.as_tensor(getattr(chunk, name)[:count]) for name in _COLUMNS}
        tensors |= {_sketch(part): own[:count] for part, own in enumerate(chunk.sketches)}
        events = chunk.events[:count]
        if chunk.deleted_count:  # what was removed is not on the disk again
            deleted = torch.as_tensor(chunk.deleted[:count].copy())
            removed = [name for name in tensors if name not in {"place", "deleted", "captured_ms"}]
            tensors |= {name: _blanked(tensors[name], deleted) for name in removed}
            events = [f"-{row}" if gone else one for row, (one, gone) in enumerate(zip(events, deleted, strict=True))]
            used = set(chunk.place[:count][~deleted.numpy()].tolist())
            document["places"] = [name if code in used else "" for code, name in enumerate(names)]
        tensors["events"] = torch.frombuffer(bytearray("\n".join(events).encode()), dtype=torch.uint8)
        partial = self.folder / f"chunk-{number}.partial"
        save_file(tensors, partial, metadata={_KEY: json.dumps(document)})
        partial.replace(self.folder / f"chunk-{number}.safetensors")

    def _read(self, path: Path) -> tuple[Segment, list[str]]:
        scorer = self._index.scorer
        with safe_open(path, framework="pt", device="cpu") as file:
            document = json.loads((file.metadata() or {})[_KEY])
            count = int(document["rows"])
            if document["format"] != _FORMAT or document["fingerprint"] != scorer.fingerprint or count > ROWS:
                raise ValueError("it is of another network or program")
            chunk = empty(scorer.tower_shape, columns(scorer.sketch))
            for name in _COLUMNS:
                getattr(chunk, name)[:count] = file.get_tensor(name).numpy()
            found = set(file.keys())
            sketches = [file.get_tensor(_sketch(n)) for n in range(len(chunk.sketches)) if _sketch(n) in found]
            events = file.get_tensor("events").numpy().tobytes().decode().split("\n")
        if len(events) != count or len(set(events)) != count:
            raise ValueError(f"{len(events)} events for {count} rows")
        if not np.all(chunk.place[:count] < len(document["places"])):
            raise ValueError("a row of an unknown place")
        if [own.dtype for own in sketches] != [own.dtype for own in chunk.sketches]:
            sketches = kept(scorer.sketch, chunk.towers[:count])  # of another program or processor
        for target, own in zip(chunk.sketches, sketches, strict=True):
            target[:count] = own
        chunk.note_times(0, count)
        chunk.events.extend(events)
        return chunk, list(document["places"])


def _blanked(column: torch.Tensor, deleted: torch.Tensor) -> torch.Tensor:
    """Return a copy of a column without the values of deleted rows."""
    copy = column.clone()
    copy[deleted] = 0
    return copy


def _sketch(part: int) -> str:
    """Name of the column of a part of the sketch."""
    return f"sketch-{part}"


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("chunk-"))
