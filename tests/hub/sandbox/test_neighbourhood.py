import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hub.sandbox.neighbourhood import PLACES, HistoryClip, batches, neighbourhood
from shared.synthetic_scene import SoundCast

UNTIL = datetime(2026, 6, 12, 18, 20, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def history(days: int = 21, places: tuple[str, ...] = PLACES) -> list[HistoryClip]:
    return neighbourhood(places, days, UNTIL, BERLIN, SoundCast.drawn(1), np.random.default_rng(1))


def times(clips: list[HistoryClip], place: str, category: str) -> list[datetime]:
    return [c.at.astimezone(BERLIN) for c in clips if c.place == place and category in {s.category for s in c.sounds}]


def test_it_ends_now_and_begins_days_ago_in_order() -> None:
    clips = history()
    assert [clip.at for clip in clips] == sorted(clip.at for clip in clips)
    assert UNTIL - timedelta(days=21) <= clips[0].at < UNTIL - timedelta(days=20)
    assert UNTIL - timedelta(minutes=2) < clips[-1].at < UNTIL


def test_the_jackhammer_works_on_weekdays_about_seven_on_the_local_clock() -> None:
    found = times(history(), "demo/street-1", "machinery-impact")
    assert len({at.date() for at in found}) >= 10
    assert all(at.weekday() < 5 for at in found)
    assert {at.hour for at in found} == {7}


def test_the_saw_runs_every_other_night() -> None:
    nights = sorted({(at - timedelta(hours=12)).date() for at in times(history(), "demo/street-4", "powered-saw")})
    assert len(nights) >= 9
    assert {(later - night).days for night, later in itertools.pairwise(nights)} == {2}


@pytest.mark.parametrize(("place", "category"), [("demo/street-3", "human-voice"), ("demo/street-2", "music")])
def test_something_comes_back_at_the_present_time_of_day(place: str, category: str) -> None:
    now = UNTIL.astimezone(BERLIN)
    days = {at.date() for at in times(history(), place, category) if at.hour == now.hour}
    assert days >= {(now - timedelta(days=back)).date() for back in range(1, 21)}


def test_the_last_day_leaves_the_budget_of_alerts_to_what_is_live() -> None:
    last = [clip for clip in history() if clip.at > UNTIL - timedelta(days=1)]
    assert not times(last, "demo/street-1", "dog")
    assert {sound.category for clip in last for sound in clip.sounds} <= {
        "machinery-impact",
        "powered-saw",
        "human-voice",
        "music",
    }


def test_only_sensors_that_there_are_record() -> None:
    assert {clip.place for clip in history(3, PLACES[:2])} == set(PLACES[:2])


def test_batches_hold_every_clip_once_and_span_no_hour_and_no_pause() -> None:
    clips = history(3)
    made = list(batches(clips))
    assert [clip for batch in made for clip in batch] == clips
    for batch in made:
        assert len({clip.at.replace(minute=0, second=0, microsecond=0) for clip in batch}) == 1
        assert all((b.at - a.at).total_seconds() <= 60 for a, b in itertools.pairwise(batch))
    assert list(batches([])) == []


def test_every_sensor_records_in_every_hour() -> None:
    hours = {(clip.place, clip.at.replace(minute=0, second=0, microsecond=0)) for clip in history(2)}
    assert len(hours) >= 4 * 47
