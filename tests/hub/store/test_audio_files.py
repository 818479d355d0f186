from dataclasses import replace
from pathlib import Path

import pytest

from hub.store.audio_files import AudioFileStore
from shared.errors import UnavailableError
from shared.events import Flac
from tests.factories import event


def test_a_clip_is_kept_under_its_sensor_and_day_and_can_be_removed(tmp_path: Path) -> None:
    clips, audio = AudioFileStore(tmp_path), Flac(b"fLaC123")
    received = replace(event(), body=audio)
    path = clips.save(received, audio)
    assert path == "demo/street-1/2026-06-01/demo.street-1.boot.0.flac"
    assert (tmp_path / path).read_bytes() == audio.data
    clips.remove(path)
    clips.remove(path)
    assert not (tmp_path / path).exists()


def test_a_directory_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot keep"):
        AudioFileStore(tmp_path / "file").save(event(), Flac(b"fLaC"))
