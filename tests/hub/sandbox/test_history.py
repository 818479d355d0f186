"""A short history in a real store: through the pipeline, with its sound, alerts and what recurs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis

from hub.app.factory import build_recurrence, build_sensor_map
from hub.runtime.embedded_servers import Servers
from hub.sandbox.history import HistoryWriter
from hub.sandbox.neighbourhood import HistoryClip, neighbourhood
from hub.settings import HubSettings
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.audio import decode_flac
from shared.synthetic_scene import SoundCast

pytestmark = pytest.mark.redis

DAYS = 8
PLACES = ("demo/street-3",)
UNTIL = datetime.now(UTC)
Written = tuple[HubSettings, EventStore, list[HistoryClip], list[tuple[str, float]]]


@pytest.fixture(scope="module")
def written(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """A history of one sensor at which voices come back every day."""
    redis.Redis.from_url(embedded.redis_url, protocol=2).flushall()
    settings = HubSettings.model_validate(
        {
            "redis": {"url": embedded.redis_url},
            "store": {"audio_dir": tmp_path_factory.mktemp("clips")},
            "features": {"space": "earwitness-small"},
        }
    )
    rng = np.random.default_rng(1)
    clips = neighbourhood(PLACES, DAYS, UNTIL, ZoneInfo("UTC"), SoundCast.drawn(1), rng)
    reported: list[tuple[str, float]] = []
    with HistoryWriter(settings, rng) as writer:
        writer.write(clips, lambda what, share: reported.append((what, share)))
        yield settings, writer.archive, clips, reported


def test_every_clip_is_archived_at_its_time(written: Written) -> None:
    _, archive, clips, _ = written
    events = archive.events(limit=5_000)
    assert len(events) == archive.count() == len(clips)
    newest = max(clip.at for clip in clips)
    assert abs(events[0].captured_at - newest) < timedelta(milliseconds=1)
    assert all(timedelta() < event.received_at - event.captured_at < timedelta(minutes=3) for event in events)


def test_levels_are_of_a_calibrated_sensor_in_a_street(written: Written) -> None:
    levels = [event.levels for event in written[1].events(limit=5_000)]
    assert {one.unit for one in levels} == {"dB"}
    assert all(35 < one.laeq < 95 and one.laeq <= one.lafmax for one in levels)


def test_the_sound_of_every_clip_is_kept_and_each_take_is_stored_once(written: Written) -> None:
    settings, archive, clips, _ = written
    root = settings.store.audio_dir
    assert root is not None
    files = [root / event.clip for event in archive.events(limit=5_000)]
    assert all(file.is_file() for file in files)
    assert len({file.stat().st_ino for file in files}) < len(clips) / 4
    waveform, rate_hz = decode_flac(files[0].read_bytes())
    assert waveform.size == 10 * rate_hz


def test_what_recurs_has_alerts_and_a_next_window(written: Written) -> None:
    _, archive, _, _ = written
    voices = [alert for alert in archive.alerts.newest(limit=500) if alert.categories[0] == "human-voice"]
    assert any(alert.severity == "recurring" for alert in voices)
    settings = HubSettings()
    patterns = build_recurrence(settings, Stores.of(archive), build_sensor_map(settings.sites))
    pattern = patterns.pattern(PLACES[0], "human-voice", UNTIL)
    assert pattern.days >= DAYS - 1
    assert pattern.next is not None


def test_progress_ends_at_all_of_both_steps(written: Written) -> None:
    reported = written[3]
    assert list(dict(reported)) == ["rendering scenes", "archiving history"]
    assert set(dict(reported).values()) == {1.0}


def test_an_interrupt_ends_it_early(embedded: Servers) -> None:
    settings = HubSettings.model_validate(
        {"redis": {"url": embedded.redis_url}, "features": {"space": "earwitness-small"}}
    )
    rng = np.random.default_rng(1)
    clips = neighbourhood(PLACES, 1, UNTIL, ZoneInfo("UTC"), SoundCast.drawn(1), rng)
    reported: list[str] = []
    with HistoryWriter(settings, rng) as writer:
        before = writer.archive.count()
        writer.write(clips, lambda what, _: reported.append(what), lambda: len(reported) >= 2)
        assert writer.archive.count() == before
