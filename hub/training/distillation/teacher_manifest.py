"""The description of a teacher: a small TOML file beside its ONNX file.

    model = "teacher.onnx"          # beside the description
    sha256 = "..."                  # of the model; may be left out
    takes = "sound"                 # or "log-mel"
    rate_hz = 32000                 # of the sound, a multiple of 100
    window = 32000                  # samples of one window
    hop = 16000                     # samples between the starts of two windows; the window if left out
    embedding = "embedding"         # output, float32 [n, dimension], dimension at least 128
    scores = "scores"               # output, float32 [n, classes]
    scores_are = "probabilities"    # or "log-odds"
    classes = "classes.txt"         # a file beside it with a name per line, or a list of names

    [categories]                    # classes of each category; left out: AudioSet's names
    engine = ["Car", "Truck"]

A teacher that takes sound gets windows, float32 [n, window] or one at a time as [1, window] or [window], full scale
= 1.0. One that takes log-mel gets what YAMNet's front end makes, float32 [n, 96, 64] or [1, 96, 64]: log(mel
magnitude + 0.001) of 96 frames of 10 ms in 64 HTK-mel bands from 125 to 7,500 Hz, at 16 kHz.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.training.datasets.audioset_mapping import AUDIOSET_CATEGORIES
from shared.errors import InvalidError
from shared.taxonomy import CATEGORIES
from shared.text_files import read_text, read_toml


class TeacherDescription(BaseModel):
    """The input and output of a teacher; fields as in the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    takes: Literal["log-mel", "sound"]
    rate_hz: int | None = Field(None, ge=8_000, le=192_000, multiple_of=100)
    window: int | None = Field(None, ge=1, le=10_000_000)
    hop: int | None = Field(None, ge=1)
    embedding: str
    scores: str
    scores_are: Literal["log-odds", "probabilities"]
    classes: str | tuple[str, ...]
    categories: dict[str, tuple[str, ...]] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "TeacherDescription":
        if self.takes == "sound" and (self.rate_hz is None or self.window is None):
            raise ValueError('takes = "sound" needs rate_hz and window')
        if self.takes == "log-mel" and (self.rate_hz, self.window, self.hop) != (None, None, None):
            raise ValueError('takes = "log-mel" has no rate_hz, window or hop: its patches are of 16 kHz')
        if unknown := sorted(set(self.categories or ()) - set(CATEGORIES)):
            raise ValueError(f"categories names {', '.join(unknown)}; it may name {', '.join(CATEGORIES)}")
        return self


def read(path: Path) -> TeacherDescription:
    """Read a description; class names in a file are read too, and take its place.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: it is not TOML, a field is missing, unknown or outside its range, classes are named twice, or
            the categories name a class that there is not.
    """
    try:
        manifest = TeacherDescription.model_validate(read_toml(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'description'}: {e['msg']}" for e in error.errors())
        raise InvalidError(f"{path}: {faults}") from error
    names = _names(path.parent / manifest.classes) if isinstance(manifest.classes, str) else manifest.classes
    if not names or len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidError(f"{path}: classes: {'named twice: ' + ', '.join(twice) if twice else 'there are none'}")
    manifest = manifest.model_copy(update={"classes": names})
    _categories(path, manifest)
    return manifest


def write(path: Path, manifest: TeacherDescription) -> None:
    """Write a description, as `read` takes it."""
    fields = manifest.model_dump(exclude_none=True, exclude={"categories"}, mode="json")
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in fields.items()]
    path.write_text("".join(lines), encoding="utf-8")


def columns(manifest: TeacherDescription) -> dict[str, list[int]]:
    """Columns of the scores that belong to each category; none of a category that the teacher does not know."""
    at = {name: column for column, name in enumerate(manifest.classes)}
    if manifest.categories is None:
        return {c: [at[name] for name in AUDIOSET_CATEGORIES[c] if name in at] for c in CATEGORIES}
    return {c: [at[name] for name in manifest.categories.get(c, ())] for c in CATEGORIES}


def _categories(path: Path, manifest: TeacherDescription) -> None:
    for category, names in (manifest.categories or {}).items():
        if unknown := sorted(set(names) - set(manifest.classes)):
            raise InvalidError(f"{path}: categories.{category}: there is no class {', '.join(unknown)}")
    if not any(columns(manifest).values()):
        raise InvalidError(f"{path}: none of the classes belongs to a category: name them in a table [categories]")


def _names(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
