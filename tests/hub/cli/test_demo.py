from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app


def test_a_folder_without_recordings_is_refused_at_once(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["demo", "--recordings", str(tmp_path)])
    assert ran.exit_code == 2
    assert f"no recordings (.wav, .flac, .ogg) under {tmp_path}" in ran.output


def test_recordings_and_embeddings_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    ran = CliRunner().invoke(app, ["demo", "--recordings", str(tmp_path), "--embeddings", str(tmp_path / "a.npz")])
    assert ran.exit_code == 2
    assert "not both" in ran.output


@pytest.mark.parametrize("option", [["--history-days", "61"], ["--sensors", "17"], ["--for", "0"], ["--speed", "0"]])
def test_what_is_out_of_range_is_refused(option: list[str]) -> None:
    assert CliRunner().invoke(app, ["demo", *option]).exit_code == 2
