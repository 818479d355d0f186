"""AudioSet's embeddings as published: `tensorflow.SequenceExample` records, read without TensorFlow.

The folder holds `class_labels_indices.csv` and any number of `*.tfrecord` files, for example `bal_train/`. Which
labels belong to a category is `hub.training.datasets.audioset_mapping`, unless the folder has a `coarse_map.json`:
`{"engine": [{"index": 307}, ...], ...}`.

Source: AudioSet, "Features dataset" (research.google.com/audioset/download.html); TensorFlow's TFRecord format.
"""

import json
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from hub.training.dataset import Dataset
from hub.training.datasets.audioset import AUDIOSET_LABELS
from hub.training.datasets.audioset_mapping import AUDIOSET_CATEGORIES
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import VGGISH
from shared.paths import files_below
from shared.taxonomy import CATEGORIES
from shared.text_files import read_table, read_text

LARGEST: Final = 1 << 20
"""Most bytes of one record; AudioSet's are below 2 kB."""
_GZIPPED: Final = b"\x1f\x8b"
"""First bytes of a gzip file. Source: RFC 1952, 2.3.1."""
_QUIET: Final = ("music", "human-voice")
"""Categories that alone make no clip of the domain: AudioSet is mostly these, and noise sensors are not."""


def tfrecord_files(folder: Path) -> list[Path]:
    """List the records below a folder, sorted, without those in a directory `eval`, which is never trained on."""
    found = files_below(folder, (".tfrecord",)).files
    return [file for file in found if "eval" not in file.relative_to(folder).parts]


def load_tfrecords(folder: Path) -> Dataset:
    """AudioSet's clips of ten seconds with their 527 labels as finer ones; shorter clips are left out.

    Raises:
        UnavailableError: a file cannot be opened, or the extra `train` is not installed.
        InvalidError: a file is damaged or holds something else, or there is no clip of ten seconds.
    """
    own = folder / "coarse_map.json"
    categories = _mapped(own) if own.is_file() else _categories(folder / "class_labels_indices.csv")
    features, fine = [], []
    for file in tfrecord_files(folder):
        for record in records(file):
            example = _example(record, file)
            frames = [bytes(one.bytes_list.value[0]) for one in _entry(example.feature_lists.feature_list).feature]
            if len(frames) != VGGISH.frames or {len(frame) for frame in frames} != {VGGISH.dimension}:
                continue
            indices = [index for one in example.context.feature if one.key == "labels" for index in _integers(one)]
            if not all(0 <= index < AUDIOSET_LABELS for index in indices):
                raise InvalidError(f"{file} has labels outside AudioSet's {AUDIOSET_LABELS}")
            features.append(np.frombuffer(b"".join(frames), dtype=np.uint8).reshape(VGGISH.shape))
            fine.append(np.bincount(indices, minlength=AUDIOSET_LABELS) > 0)
    if not features:
        raise InvalidError(f"{folder} has no record of a clip of {VGGISH.frames} s")
    finer = np.asarray(fine, dtype=np.uint8)
    labels = np.asarray(finer @ categories > 0, dtype=np.uint8)
    noisy = np.asarray(labels[:, [name not in _QUIET for name in CATEGORIES]].any(axis=1), dtype=np.bool_)
    return Dataset(VGGISH, np.asarray(features), labels, np.full(len(labels), ""), finer, noisy)


def records(path: Path) -> Iterator[bytes]:
    """Return the records of a TFRecord file, their checksums verified.

    Raises:
        UnavailableError: the file cannot be opened, or google-crc32c is missing.
        InvalidError: the file is cut short, a checksum is wrong, or a record is larger than `LARGEST`.
    """
    try:
        from google_crc32c import value as crc32c  # noqa: PLC0415 - an extra that the hub does not need
    except ImportError as error:
        raise UnavailableError('TFRecord files need google-crc32c: pip install "earwitness[train]"') from error

    def checked(data: bytes, stated: bytes) -> bytes:
        crc = crc32c(data)
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        if len(stated) != 4 or struct.unpack("<I", stated)[0] != masked:
            raise InvalidError(f"{path} is cut short or damaged")
        return data

    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] == _GZIPPED:
                raise InvalidError(f"{path} is compressed: unpack it with gunzip")
            while head := file.read(8):
                length = struct.unpack("<Q", checked(head.ljust(8, b"\0"), file.read(4)))[0]
                if length > LARGEST:
                    raise InvalidError(f"{path} has a record of {length} bytes; AudioSet's are below {LARGEST}")
                yield checked(file.read(length), file.read(4))
    except OSError as error:
        raise UnavailableError(f"cannot open {path}: {error.strerror or error}") from error


def _categories(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return the categories of each AudioSet label: uint8 [527, 8]."""
    names: dict[str, int] = {}
    try:
        for row in read_table(path, ("index", "display_name")):
            if not row.cells["index"].isdecimal():
                raise InvalidError(f"{path}, line {row.line}: index {row.cells['index']!r} is no number")
            names[row.cells["display_name"]] = int(row.cells["index"])
    except UnavailableError as error:
        raise UnavailableError(f"{error}; AudioSet publishes it with the features") from error
    found = np.zeros((AUDIOSET_LABELS, len(CATEGORIES)), dtype=np.uint8)
    for column, category in enumerate(CATEGORIES):
        for name in AUDIOSET_CATEGORIES[category]:
            if name not in names or not 0 <= names[name] < AUDIOSET_LABELS:
                raise InvalidError(f"{path} does not have the label {name!r}")
            found[names[name], column] = 1
    return found


def _mapped(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return the same from a file of indices by category."""
    found = np.zeros((AUDIOSET_LABELS, len(CATEGORIES)), dtype=np.uint8)
    try:
        indices = json.loads(read_text(path))
        for column, category in enumerate(CATEGORIES):
            found[[label["index"] for label in indices[category]], column] = 1
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InvalidError(f"{path} is no coarse_map.json with label indices for every category") from error
    return found


def _entry(feature_lists: Any) -> Any:  # noqa: ANN401 - made at run time
    for one in feature_lists:
        if one.key == "audio_embedding":
            return one.value
    raise InvalidError("a record has no audio_embedding; AudioSet's features have one per second")


def _integers(entry: Any) -> list[int]:  # noqa: ANN401 - made at run time
    return list(entry.value.int64_list.value)


def _example(record: bytes, file: Path) -> Any:  # noqa: ANN401 - made at run time
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - an extra that the hub does not need

    try:
        return _message().FromString(record)
    except DecodeError as error:
        raise InvalidError(f"{file} has a record that is no SequenceExample") from error


@cache
def _message() -> Any:  # noqa: ANN401 - made at run time
    """Return the class of `tensorflow.SequenceExample`; its maps are repeated entries, as on the wire."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415
    except ImportError as error:
        raise UnavailableError('TFRecord files need protobuf: pip install "earwitness[train]"') from error
    kinds = {"bytes": 12, "float": 2, "int64": 3, "string": 9}  # FieldDescriptorProto.Type
    schema: dict[str, list[tuple[str, int, str, bool]]] = {
        "BytesList": [("value", 1, "bytes", True)],
        "FloatList": [("value", 1, "float", True)],
        "Int64List": [("value", 1, "int64", True)],
        "Feature": [
            ("bytes_list", 1, "BytesList", False),
            ("float_list", 2, "FloatList", False),
            ("int64_list", 3, "Int64List", False),
        ],
        "NamedFeature": [("key", 1, "string", False), ("value", 2, "Feature", False)],
        "Features": [("feature", 1, "NamedFeature", True)],
        "FeatureList": [("feature", 1, "Feature", True)],
        "NamedFeatureList": [("key", 1, "string", False), ("value", 2, "FeatureList", False)],
        "FeatureLists": [("feature_list", 1, "NamedFeatureList", True)],
        "SequenceExample": [("context", 1, "Features", False), ("feature_lists", 2, "FeatureLists", False)],
    }
    described = descriptor_pb2.FileDescriptorProto(
        name="earwitness_example.proto", package="example", syntax="proto3"
    )
    for name, fields in schema.items():
        message = described.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in kinds:
                added.type = kinds[kind]
            else:
                added.type, added.type_name = 11, f".example.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("example.SequenceExample"))
