"""`earwitness-hub bench replay`: recordings in the order of their times, judged by what people verified."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from typer.testing import CliRunner

from hub.bench.replay_recordings import recording_figures, recordings
from hub.cli import app
from hub.settings import HubSettings
from shared.audio import encode_flac
from shared.errors import InvalidError, UnavailableError
from shared.synthetic_scene import SoundCast, mix_scene
from shared.taxonomy import CATEGORIES

NEW_YORK = ZoneInfo("America/New_York")
HEADER = ",".join(["clip", "sensor_id", *CATEGORIES, "latitude", "longitude", "year", "week", "day", "hour"])


def row(clip: str, sensor: int, label: str, when: str) -> str:
    """`when` is year, week, day and hour."""
    labels = ",".join(str(int(name == label)) for name in CATEGORIES)
    return f"{clip},{sensor},{labels},40.7,-74.0,{when}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A jackhammer at two sensors, three times, and a dog."""
    (tmp_path / "clips").mkdir()
    rng, cast = np.random.default_rng(7), SoundCast.drawn(1, per_category=1)
    rows = [
        row("c.flac", 2, "machinery-impact", "2019,20,1,9"),
        row("a.flac", 1, "machinery-impact", "2019,20,0,7"),
        row("b.flac", 1, "machinery-impact", "2019,20,0,7"),
        row("d.flac", 2, "dog", "2019,20,2,9"),
    ]
    for line in rows:
        label = "dog" if line.startswith("d") else "machinery-impact"
        made = mix_scene([label], rng, 16_000, cast=cast)
        (tmp_path / "clips" / line.split(",")[0]).write_bytes(encode_flac(made.waveform, 16_000))
    (tmp_path / "labels.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def test_recordings_come_in_the_order_of_their_times_and_apart(folder: Path) -> None:
    found = recordings(folder, NEW_YORK)
    assert [one.path.name for one in found] == ["a.flac", "b.flac", "c.flac", "d.flac"]
    assert found[0].at == datetime(2019, 5, 13, 11, tzinfo=UTC), "Monday of week 20, seven in the morning there"
    assert (found[1].at - found[0].at).total_seconds() == 240
    assert [one.sensor for one in found] == ["sensor-01", "sensor-01", "sensor-02", "sensor-02"]
    assert found[3].labels == {"dog"}


def test_alerts_are_rendered_beside_what_is_verified(folder: Path) -> None:
    figures = recording_figures(folder, HubSettings())
    assert (figures.clips, figures.sensors, figures.days) == (4, 2, 3)
    assert figures.alerts == len(figures.texts) > 0
    assert figures.precision_by_kind == 1.0
    assert all("machinery impact at city/sensor-0" in text.title for text in figures.texts)
    assert {text.labels for text in figures.texts} == {("machinery-impact",)}
    assert recording_figures(folder, HubSettings(), only=["sensor-07"]).alerts == 0


def test_the_command_prints_texts_and_refuses_what_it_does_not_understand(folder: Path) -> None:
    ran = CliRunner().invoke(app, ["bench", "replay", str(folder)])
    assert ran.exit_code == 0, ran.output
    assert "-- verified: machinery-impact; best match: machinery-impact; right" in ran.stdout
    (folder / "labels.csv").write_text(f"{HEADER}\n{row('a.flac', 1, 'dog', '2019,99,0,7')}\n")
    with pytest.raises(InvalidError, match=r"clip a\.flac"):
        recordings(folder, NEW_YORK)
    (folder / "labels.csv").write_text("sensor_id\n1\n")
    with pytest.raises(InvalidError, match="no column"):
        recordings(folder, NEW_YORK)
    with pytest.raises(UnavailableError, match="cannot read"):
        recordings(folder / "clips", NEW_YORK)
