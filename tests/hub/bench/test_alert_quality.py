"""`earwitness-hub bench alerts` in small: the street is as planned, and the truth about alerts is kept."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hub.bench.alert_metrics import GroundTruth
from hub.bench.alert_plot import draw
from hub.bench.alert_quality import AlertQualityReport, Days, alert_figures
from hub.bench.scenario import (
    DAY_S,
    FAINT_DB,
    HOUR_S,
    JACKHAMMER,
    KINDS,
    SAW,
    Clip,
    ScenarioEvent,
    clips,
    generate_scenario,
)
from hub.bench.synthetic_clips import embed_scenario, measured
from hub.cli import app
from hub.settings import HubSettings
from shared.synthetic_mixture import SourceInstance, render_clip
from shared.taxonomy import CATEGORIES

DAYS = 3


@pytest.fixture(scope="module")
def sound_events() -> list[ScenarioEvent]:
    return generate_scenario(28, 3, np.random.default_rng(7))


def planted(sound_events: Sequence[ScenarioEvent], source: str) -> list[ScenarioEvent]:
    return [one for one in sound_events if one.planted == source]


def test_the_jackhammer_works_on_most_weekdays_about_seven(sound_events: list[ScenarioEvent]) -> None:
    own = planted(sound_events, JACKHAMMER)
    days = [int(one.begin_s // DAY_S) for one in own]
    assert len(set(days)) == len(days)
    assert all(day % 7 < 5 for day in days)
    assert 14 <= len(days) <= 20
    assert all(abs(one.begin_s % DAY_S - 7 * HOUR_S) <= 1_200 for one in own)
    assert all(1_000 <= one.end_s - one.begin_s <= 3_600 for one in own)
    assert {tuple(sensor for sensor, _ in one.sources) for one in own} == {(0, 1)}
    assert {sound.character for one in own for _, sound in one.sources} == {own[0].sources[0][1].character}
    assert all(one.sources[1][1].above_db == FAINT_DB for one in own)


def test_the_saw_runs_every_other_night_about_eleven(sound_events: list[ScenarioEvent]) -> None:
    own = planted(sound_events, SAW)
    assert [int(one.begin_s // DAY_S) for one in own] == list(range(0, 28, 2))
    assert all(abs(one.begin_s % DAY_S - 23 * HOUR_S) <= 600 for one in own)
    assert all(one.end_s % DAY_S > 22 * HOUR_S for one in own), "it ends before midnight"


def test_work_has_pauses_and_bouts_lie_apart(sound_events: list[ScenarioEvent]) -> None:
    for one in sound_events:
        edges = [edge for bout in one.bouts for edge in bout]
        assert edges == sorted(edges)
    assert np.median([len(one.bouts) for one in planted(sound_events, JACKHAMMER)]) > 3


def test_all_else_comes_from_other_sources_and_every_noise_once(sound_events: list[ScenarioEvent]) -> None:
    sources = {(one.category, one.sources[0][1].character) for one in sound_events if one.planted}
    noise = [one for one in sound_events if one.name.startswith("noise")]
    characters = [(one.category, one.sources[0][1].character) for one in noise]
    assert len(set(characters)) == len(characters)
    assert not sources & set(characters)
    assert {one.category for one in noise} == {*CATEGORIES} - {"engine"}
    a_day = Counter((one.sources[0][0], int(one.name.split("-")[2])) for one in noise)
    assert len(a_day) == 3 * 28
    assert all(15 <= count <= 25 for count in a_day.values())


def test_one_sensor_alone_detects_everything() -> None:
    made = generate_scenario(7, 1, np.random.default_rng(0))
    assert {sensor for one in made for sensor, _ in one.sources} == {0}
    assert {one.planted for one in made} == {JACKHAMMER, SAW, ""}


def test_a_clip_holds_what_sounds_for_half_of_it_and_background_clips_come_anyway() -> None:
    near, faint = (SourceInstance("dog", 1, db, 2) for db in (10.0, 4.0))
    bark = ScenarioEvent("bark", "", ((0, near), (1, faint)), ((7 * HOUR_S, 7 * HOUR_S + 26),))
    car = ScenarioEvent(
        "car", "", ((0, SourceInstance("engine", 2, 9.0, 6)),), ((7 * HOUR_S, 7 * HOUR_S + 10),), triggers=False
    )
    made = clips([bark, car], 1, 2, np.random.default_rng(0))
    assert [(clip.at_s, clip.sensor) for clip in made] == sorted((clip.at_s, clip.sensor) for clip in made)
    sounding = [clip for clip in made if clip.sounds]
    assert [(clip.sensor, clip.at_s - 7 * HOUR_S, clip.sound_events) for clip in sounding] == [
        (0, 0.0, ("bark", "car")),
        (1, 5.0, ("bark",)),
        (0, 10.0, ("bark",)),
        (1, 15.0, ("bark",)),
        (0, 20.0, ("bark",)),
    ]
    assert sounding[0].labels == {"dog", "engine"}
    assert {clip.sounds for clip in sounding if clip.sensor == 1} == {(faint,)}
    for sensor in (0, 1):
        own = [clip for clip in made if clip.sensor == sensor]
        assert {round(clip.at_s) // 900 for clip in own} == set(range(96))
        assert all(clip.night == (not 6 <= clip.at_s / HOUR_S < 22) for clip in own)


def test_no_two_clips_are_equal_and_louder_sources_make_louder_clips() -> None:
    loud, faint = (SourceInstance("machinery-impact", 5, db, 3) for db in (20.0, 3.0))
    made = [
        Clip(0, 10.0 * n, night=False, sounds=(sound,), sound_events=()) for sound in (loud, faint) for n in range(8)
    ]
    received = embed_scenario(made, seed=1)
    assert len({features.tobytes() for features in received.features}) == 16
    assert received.laeq[:8].min() > received.laeq[8:].max() + 5
    assert (received.lafmax >= received.laeq - 2).all()
    assert np.array_equal(received.features, embed_scenario(made, seed=1).features)


def test_levels_are_those_of_a_full_scale_sine_and_of_its_loudest_part() -> None:
    wave = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    assert measured(wave, 16_000) == pytest.approx((0.0, 0.0), abs=0.01)
    wave[:8_000] = 0
    assert measured(wave, 16_000) == pytest.approx((-3.01, 0.0), abs=0.01)
    assert np.abs(render_clip((True, (SourceInstance("dog", 1, 80.0, 1),)), np.random.default_rng(0))).max() < 1.0


@pytest.fixture(scope="module")
def replayed() -> tuple[AlertQualityReport, GroundTruth]:
    """A street with a fifth of its noise."""
    rng = np.random.default_rng(3)
    sound_events = [one for one in generate_scenario(DAYS, 2, rng) if one.planted or one.name.endswith(("0", "5"))]
    sent = clips(sound_events, DAYS, 2, rng)
    return alert_figures(Days(DAYS, 3, 2, sound_events, sent, embed_scenario(sent, 3, most=2)), HubSettings())


def test_a_replay_keeps_its_books(replayed: tuple[AlertQualityReport, GroundTruth]) -> None:
    figures, truth = replayed
    assert figures.events == len(truth.clips)
    assert figures.episodes == len({episode.id for episode in truth.episodes})
    assert figures.alerts == len({one.event for one in truth.alerts}) > 0
    assert figures.alerts_a_day == figures.alerts / DAYS <= figures.most_alerts_a_day
    assert sum(figures.alerts_of.values()) == figures.alerts
    assert figures.precision_by_kind == pytest.approx(1 - sum(figures.wrong.values()) / figures.alerts)
    assert figures.precision_by_best_match <= figures.precision_by_kind
    assert figures.recall.alerted + figures.recall.joined + figures.recall.missed == figures.recall.occurrences
    assert figures.recall.occurrences == sum(bool(one.planted) for one in truth.sound_events.values()) - len(KINDS)
    assert {kept.category for kept in figures.thresholds} == {*CATEGORIES}
    assert all(
        0.3 <= kept.threshold <= 0.99 and kept.low <= kept.false_a_day <= kept.high for kept in figures.thresholds
    )


def test_no_sound_event_alerts_twice_and_no_day_brings_more_than_happens(
    replayed: tuple[AlertQualityReport, GroundTruth],
) -> None:
    figures, truth = replayed
    assert figures.duplicates == 0
    assert figures.alerts_a_day <= len(truth.sound_events) / DAYS
    others = [one.captured_at for one in truth.alerts if one.severity == "notice"]
    for number, at in enumerate(others):
        assert (
            sum(timedelta(0) <= at - before < timedelta(days=1) for before in others[: number + 1]) <= figures.budget
        )
    times = [one.captured_at for one in truth.alerts]
    assert times == sorted(times)
    for one in truth.alerts:
        assert all(match.captured_at <= one.captured_at for match in one.matches)
        assert one.recurrence is not None


def test_the_calendar_shows_every_sensor_and_both_sources(
    replayed: tuple[AlertQualityReport, GroundTruth], tmp_path: Path
) -> None:
    draw(tmp_path / "calendar.svg", replayed[1])
    drawn = (tmp_path / "calendar.svg").read_text()
    assert all(text in drawn for text in ("bench/street-1", "bench/street-2", "jackhammer sounds", "saw sounds"))


def test_the_command_prints_json_and_feedback_teaches_thresholds() -> None:
    arguments = [
        "bench",
        "alerts",
        "--days",
        "2",
        "--sensors",
        "1",
        "--seed",
        "1",
        "--feedback",
        "--performances",
        "1",
        "--json",
    ]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["feedback"] is True
    assert (found["days"], found["sensors"], found["seed"]) == (2, 1, 1)
    assert found["duplicates"] == 0
    assert found["completing_ms"] > 0
