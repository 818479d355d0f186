import csv
import gzip
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt
import pytest

from hub.training.datasets import DatasetReader
from hub.training.datasets.audioset_mapping import AUDIOSET_CATEGORIES
from hub.training.datasets.audioset_tfrecords import load_tfrecords, records, tfrecord_files
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import LOGMEL, VGGISH
from shared.taxonomy import CATEGORIES

NAMES = sorted({name for names in AUDIOSET_CATEGORIES.values() for name in names})


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field of protocol buffers' wire format, written by hand."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(frames: npt.NDArray[np.uint8], labels: Sequence[int], key: bytes = b"audio_embedding") -> bytes:
    """A tensorflow.SequenceExample as AudioSet publishes them."""
    video = field(1, field(1, b"video_id") + field(2, field(1, field(1, b"abc"))))
    start = field(1, field(1, b"start_time_seconds") + field(2, field(2, field(1, struct.pack("<f", 6.0)))))
    packed = field(3, field(1, b"".join(varint(label) for label in labels)))
    stated = field(1, field(1, b"labels") + field(2, packed))
    embedding = b"".join(field(1, field(1, field(1, frame.tobytes()))) for frame in frames)
    lists = field(1, field(1, key) + field(2, embedding))
    return field(1, video + start + stated) + field(2, lists)


def framed(data: bytes) -> bytes:
    """TFRecord's framing: length, its checksum, data, its checksum."""

    def masked(part: bytes) -> bytes:
        crc = google_crc32c.value(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def folder(path: Path, examples: Sequence[bytes]) -> Path:
    (path / "bal_train").mkdir(parents=True)
    (path / "eval").mkdir()
    (path / "bal_train" / "ab.tfrecord").write_bytes(b"".join(map(framed, examples)))
    (path / "eval" / "ab.tfrecord").write_bytes(b"not read")
    with (path / "class_labels_indices.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["index", "mid", "display_name"])
        table.writerows([index, f"/m/{index}", name] for index, name in enumerate(NAMES))
    return path


def clip(seed: int, frames: int = 10) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (frames, 128), dtype=np.uint8)


def test_published_records_become_clips_with_labels_and_a_domain(tmp_path: Path) -> None:
    at = {name: index for index, name in enumerate(NAMES)}
    made = [
        example(clip(1), [at["Jackhammer"], at["Speech"]]),
        example(clip(2), [at["Music"]]),
        example(clip(3, frames=7), [at["Dog"]]),
    ]
    data = DatasetReader(VGGISH.id).training_set(folder(tmp_path, made))
    assert np.array_equal(data.features, np.stack([clip(1), clip(2)]))
    present = [[CATEGORIES[c] for c in np.flatnonzero(row)] for row in data.labels]
    assert present == [["machinery-impact", "human-voice"], ["music"]]
    assert data.in_domain.tolist() == [True, False]
    assert data.fine is not None
    assert np.flatnonzero(data.fine[0]).tolist() == sorted([at["Jackhammer"], at["Speech"]])
    assert [file.parent.name for file in tfrecord_files(tmp_path)] == ["bal_train"]
    with pytest.raises(InvalidError, match="VGGish"):
        DatasetReader(LOGMEL.id).training_set(tmp_path)


def test_a_map_in_the_folder_replaces_ours(tmp_path: Path) -> None:
    path = folder(tmp_path, [example(clip(1), [5])])
    entries: dict[str, list[dict[str, int]]] = {name: [] for name in CATEGORIES}
    entries["dog"] = [{"index": 5}]
    (path / "coarse_map.json").write_text(json.dumps(entries))
    assert load_tfrecords(path).labels.tolist() == [[0, 0, 0, 0, 0, 0, 0, 1]]
    (path / "coarse_map.json").write_text("{}")
    with pytest.raises(InvalidError, match="coarse_map"):
        load_tfrecords(path)


def test_damaged_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    whole = framed(b"hello") + framed(b"world")
    path.write_bytes(whole)
    assert list(records(path)) == [b"hello", b"world"]
    for damaged in (whole[:-1], whole[:20], whole[:15] + b"x" + whole[16:], framed(b"") + b"\xff" * 12):
        path.write_bytes(damaged)
        with pytest.raises(InvalidError, match="damaged"):
            list(records(path))
    huge = struct.pack("<Q", 1 << 40)
    path.write_bytes(huge + framed(huge)[12 + 8 :])
    with pytest.raises(InvalidError, match="bytes"):
        list(records(path))
    path.write_bytes(b"")
    assert list(records(path)) == []
    with pytest.raises(UnavailableError):
        list(records(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("examples", "reason"),
    [
        ([example(clip(1), [600])], "527"),
        ([example(clip(1), [1], key=b"video")], "audio_embedding"),
        ([b"\xff\xff\xff"], "SequenceExample"),
        ([example(clip(1, frames=3), [1])], "no record"),
    ],
)
def test_records_of_something_else_are_refused(tmp_path: Path, examples: list[bytes], reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        load_tfrecords(folder(tmp_path, examples))


def test_labels_must_be_named(tmp_path: Path) -> None:
    path = folder(tmp_path, [example(clip(1), [1])])
    table = path / "class_labels_indices.csv"
    table.write_text("index,mid,display_name\n0,/m/0,Speech\n")
    with pytest.raises(InvalidError, match="does not have the label"):
        load_tfrecords(path)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidError, match="no columns"):
        load_tfrecords(path)
    table.unlink()
    with pytest.raises(UnavailableError):
        load_tfrecords(path)


def test_a_compressed_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(gzip.compress(framed(b"x")))
    with pytest.raises(InvalidError, match=r"a\.tfrecord is compressed: unpack it with gunzip"):
        list(records(path))
