"""Every decoder and parser that reads bytes from outside, as a function of bytes.

A target may raise the three errors (`shared/errors.py`); anything else is a fault. What reads files gets the bytes as
a file in a folder of its own.
"""

import contextlib
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Event as Flag
from typing import Final

import google_crc32c
import numpy as np
import soundfile

from edge.settings import EdgeSettings
from edge.sources.embeddings import load_embeddings
from edge.sources.files import RecordingSource
from hub.model.checkpoint import load as load_checkpoint
from hub.settings import HubSettings
from hub.store.verdict_file import read_verdicts
from hub.training.datasets.audioset_tfrecords import load_tfrecords, records
from hub.training.datasets.feature_cache import FeatureCache
from hub.training.datasets.recordings import load_recordings
from hub.training.datasets.sonyc_ust import read_annotations
from hub.web.pagination import decode_cursor
from hub.web.search_service import decode_upload
from shared.audio import decode_flac
from shared.backbones import manifest_path
from shared.backbones.manifest import read as read_description
from shared.backbones.onnx_backbone import Backbone
from shared.errors import EarwitnessError
from shared.events import EventId
from shared.feature_space import EARWITNESS_SMALL
from shared.messages.alert import AlertMessage
from shared.messages.codec import decode_json
from shared.messages.event import decode_event
from shared.messages.sensor import StateMessage
from shared.mqtt.topics import SensorTopic
from shared.settings import MqttSettings, load_settings

Target = Callable[[bytes], object]


@cache
def _folder() -> Path:
    """A folder for the files of this process, in memory where the system has such a place."""
    memory = Path("/dev/shm")  # noqa: S108 - only where to put it; the folder's own name is random
    return Path(tempfile.mkdtemp(prefix="earwitness-fuzz-", dir=memory if memory.is_dir() else None))


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@cache
def _feature_cache() -> FeatureCache:
    return FeatureCache(Backbone(manifest_path(EARWITNESS_SMALL.id)), cache=_folder() / "cache")


def _names(data: bytes) -> None:
    for parse in (SensorTopic.parse, EventId.parse, decode_cursor):
        with contextlib.suppress(EarwitnessError):
            parse(_text(data))


def _recordings(suffix: str) -> Target:
    def read(data: bytes) -> None:
        for _ in RecordingSource(_file(f"sound{suffix}", data)).clips(Flag()):
            pass

    return read


def _labels(data: bytes) -> object:
    folder = _file("labels/labels.csv", data).parent
    soundfile.write(folder / "a.wav", np.zeros(8_000, dtype=np.float32), 8_000)
    return load_recordings(folder, _feature_cache())


def _framed(data: bytes) -> object:
    """The bytes as the one record of a TFRecord file whose checksums are right."""
    length = struct.pack("<Q", len(data))
    record = b"".join((length, _masked(length), data, _masked(data)))
    folder = _file("records/a.tfrecord", record).parent
    (folder / "coarse_map.json").write_text("{}")
    return load_tfrecords(folder)


def _masked(data: bytes) -> bytes:
    """The checksum of TFRecord files. Source: TensorFlow, tfrecord documentation, masked_crc."""
    value = google_crc32c.value(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _password(data: bytes) -> object:
    return MqttSettings(password_file=_file("password", data)).resolve_password()


def _override(data: bytes) -> object:
    return load_settings(HubSettings, None, [_text(data)])


TARGETS: Final[dict[str, Target]] = {
    "event": decode_event,
    "state": lambda data: decode_json(StateMessage, data),
    "alert": lambda data: decode_json(AlertMessage, data),
    "names": _names,
    "flac": decode_flac,
    "upload": decode_upload,
    "wav-file": _recordings(".wav"),
    "flac-file": _recordings(".flac"),
    "ogg-file": _recordings(".ogg"),
    "npz": lambda data: load_embeddings(_file("embeddings.npz", data)),
    "labels": _labels,
    "annotations": lambda data: read_annotations(_file("annotations.csv", data)),
    "verdicts": lambda data: read_verdicts(_file("verdicts.jsonl", data)),
    "tfrecord": lambda data: list(records(_file("a.tfrecord", data))),
    "tfrecord-content": _framed,
    "hub-toml": lambda data: load_settings(HubSettings, _file("hub.toml", data), []),
    "edge-toml": lambda data: load_settings(EdgeSettings, _file("edge.toml", data), []),
    "override": _override,
    "password": _password,
    "description": lambda data: read_description(_file("backbone.toml", data)),
    "checkpoint": lambda data: load_checkpoint(_file("a.safetensors", data)),
}
"""By name, each parser of bytes from outside."""


def attempt(name: str, data: bytes) -> str:
    """Have a target read some bytes.

    Returns:
        "" if it read them, else the reason that it gave for refusing them.

    Raises:
        Exception: anything that is none of the three errors.
    """
    try:
        TARGETS[name](data)
    except EarwitnessError as error:
        return str(error)
    return ""
