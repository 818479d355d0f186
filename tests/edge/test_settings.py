"""The edge's settings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.settings import EdgeSettings
from shared.errors import InvalidError
from shared.settings import load_settings, unknown_env_vars


def test_defaults_are_a_sensor_that_listens_to_a_synthetic_street() -> None:
    settings = load_settings(EdgeSettings, None, [])
    assert (settings.sensor.site, settings.source.kind) == ("demo", "synthetic")
    assert settings.client_id() == "earwitness-edge-demo-sensor-1"
    assert (settings.metrics.port, settings.metrics.host) == (0, "127.0.0.1")


def test_every_sensor_has_a_spool_of_its_own() -> None:
    one, two = (load_settings(EdgeSettings, None, [f"sensor.name={name}"]).spool_path() for name in ("a", "b"))
    assert one != two
    assert load_settings(EdgeSettings, None, ["spool.path=/x/y.db"]).spool_path() == Path("/x/y.db")


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[sensor]\nname = "file"\nsite = "file"\n[source]\nspeed = 2\n')
    monkeypatch.setenv("EARWITNESS_EDGE_SENSOR__NAME", "environment")
    monkeypatch.setenv("EARWITNESS_EDGE_SOURCE__SPEED", "3")
    settings = load_settings(EdgeSettings, file, ["source.speed=4"])
    assert (settings.sensor.site, settings.sensor.name, settings.source.speed) == ("file", "environment", 4.0)


@pytest.mark.parametrize(
    "override",
    [
        "sensor.name=Not A Name",
        "source.kind=files",
        "source.speed=0",
        "source.shard_index=1",
        "source.max_clips=0",
        "source.start_time=2026-01-01T00:00:00",
        "levels.full_scale_db_spl=500",
        "spool.max_bytes=1",
        "spool.capbytes=100000000",
        "metrics.port=70000",
        "nothing.at=all",
    ],
)
def test_wrong_settings_are_refused_in_words(override: str) -> None:
    with pytest.raises(InvalidError):
        load_settings(EdgeSettings, None, [override])


def test_a_replay_starts_now_by_default() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert load_settings(EdgeSettings, None, []).source.start_or(now) == now
    set_to = load_settings(EdgeSettings, None, ["source.start_time=2020-01-01T00:00:00Z"]).source
    assert set_to.start_or(now) == datetime(2020, 1, 1, tzinfo=UTC)


def test_a_replay_faster_than_the_clock_never_runs_ahead_of_it() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    limited = load_settings(EdgeSettings, None, ["source.speed=100", "source.max_clips=60"]).source
    assert limited.start_or(now) == now - timedelta(minutes=10)
    assert load_settings(EdgeSettings, None, ["source.speed=100"]).source.start_or(now) == now - timedelta(days=30)
    endless = load_settings(EdgeSettings, None, ["source.speed=100", "source.max_clips=100000000"]).source
    assert endless.start_or(now) == now - timedelta(days=30)


@pytest.mark.parametrize(
    ("settings", "backfilled"),
    [
        ([], False),
        (["source.speed=100"], False),
        (["source.start_time=2020-01-01T00:00:00Z"], True),
        (["source.start_time=2020-01-01T00:00:00Z", "source.backfilled=false"], False),
        (["source.backfilled=true"], True),
    ],
)
def test_a_replay_with_a_start_of_its_own_is_of_old_recordings_by_default(
    settings: list[str], *, backfilled: bool
) -> None:
    assert load_settings(EdgeSettings, None, settings).source.replays_the_past is backfilled


def test_a_mistyped_variable_is_noticed() -> None:
    environment = {"EARWITNESS_EDGE_SUORCE__KIND": "scene", "EARWITNESS_EDGE_SOURCE__KIND": "scene"}
    assert unknown_env_vars(EdgeSettings, environment) == ["EARWITNESS_EDGE_SUORCE__KIND"]
