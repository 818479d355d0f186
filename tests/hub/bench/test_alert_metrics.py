"""What alerts are measured by: right by kind, by source; duplicates, recall, windows; on a truth made by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from hub.bench import alert_metrics as measure
from hub.bench.alert_metrics import GroundTruth
from hub.bench.alert_recall import recall
from hub.bench.forecast_accuracy import score_forecasts
from hub.bench.scenario import DAY_S, JACKHAMMER, Clip, ScenarioEvent
from hub.domain.episodes import Episode
from shared.messages.alert import AlertMessage, ForecastWindow, MatchMessage, Recurrence
from shared.synthetic_mixture import SourceInstance

START = datetime(2026, 6, 1, tzinfo=UTC)


def alert(at_s: float, event: str, matches: Sequence[str], category: str = "machinery-impact") -> AlertMessage:
    return AlertMessage(
        event=event,
        site="bench",
        sensor="street-1",
        captured_at=START + timedelta(seconds=at_s),
        laeq=-30,
        lafmax=-20,
        level_unit="dBFS",
        presence={},
        matches=[
            MatchMessage(event=one, site="bench", sensor="street-1", captured_at=START, level=7, shared={})
            for one in matches
        ],
        categories=[category],
        match_probability=0.9,
    )


@pytest.fixture
def known() -> GroundTruth:
    """Two days of a jackhammer at two sensors, another machine, a dog; and clips of each."""
    own = SourceInstance("machinery-impact", 1, 10.0, 1)
    other, dog, saw = (
        SourceInstance("machinery-impact", 2, 10.0, 1),
        SourceInstance("dog", 3, 10.0, 1),
        SourceInstance("powered-saw", 4, 10.0, 1),
    )
    those = [
        ScenarioEvent("first", JACKHAMMER, ((0, own), (1, own)), ((100.0, 200.0),)),
        ScenarioEvent("second", JACKHAMMER, ((0, own), (1, own)), ((DAY_S + 100.0, DAY_S + 200.0),)),
        ScenarioEvent("other", "", ((0, other),), ((5_000.0, 5_100.0),)),
    ]

    def clip(at_s: float, sounds: tuple[SourceInstance, ...], *names: str) -> Clip:
        return Clip(0, at_s, night=False, sounds=sounds, sound_events=names)

    return GroundTruth(
        start_ms=round(START.timestamp() * 1000),
        places=("bench/street-1", "bench/street-2"),
        sound_events={one.name: one for one in those},
        clips={
            "a": clip(100, (own,), "first"),
            "b": clip(DAY_S + 110, (own,), "second"),
            "with-dog": clip(DAY_S + 120, (dog, own), "second"),
            "with-two": clip(DAY_S + 130, (dog, own, saw), "second"),
            "other": clip(5_000, (other,), "other"),
            "quiet": clip(0, ()),
        },
        alerts=(),
        episodes=(),
    )


@pytest.mark.parametrize(
    ("event", "matches", "any_match", "best_match"),
    [
        ("b", ["a"], "right", "right"),
        ("b", ["other"], "right", "right"),
        ("with-dog", ["a"], "right", "right"),
        ("with-two", ["a"], "other sounds differ", "other sounds differ"),
        ("b", ["quiet", "a"], "right", "category not in the match"),
        ("quiet", ["a"], "category not in the clip", "category not in the clip"),
    ],
)
def test_right_by_kind_is_what_match_probability_promises(
    known: GroundTruth, event: str, matches: list[str], any_match: str, best_match: str
) -> None:
    reported = alert(DAY_S + 110, event, matches)
    assert measure.category_error(known, reported) == any_match
    assert measure.category_error(known, reported, best=True) == best_match


def test_right_by_source_is_the_same_source_and_the_best_match(known: GroundTruth) -> None:
    assert measure.right_by_source(known, alert(0, "b", ["a", "other"]))
    late = alert(0, "b", ["other", "a"])
    assert not measure.right_by_source(known, late)
    assert measure.same_source(known, late)
    for wrong in (alert(0, "other", ["other"]), alert(0, "b", ["a"], category="dog"), alert(0, "b", ["other"])):
        assert not measure.right_by_source(known, wrong)
        assert not measure.same_source(known, wrong)


def with_alerts(known: GroundTruth, alerts: Sequence[AlertMessage], episodes: Sequence[Episode] = ()) -> GroundTruth:
    return GroundTruth(known.start_ms, known.places, known.sound_events, known.clips, alerts, episodes)


def test_duplicates_are_alerts_beyond_one_per_sound_event(known: GroundTruth) -> None:
    once = [alert(0, "b", ["a"]), alert(0, "other", ["a"]), alert(0, "quiet", ["a"]), alert(0, "a", ["other"])]
    assert measure.duplicates(with_alerts(known, once)) == 0
    again = [*once, alert(0, "with-dog", ["a"]), alert(0, "with-two", ["a"])]
    assert measure.duplicates(with_alerts(known, again)) == 2
    assert measure.duplicates(with_alerts(known, [*once, alert(0, "with-dog", ["a"], category="dog")])) == 0


@pytest.mark.parametrize(
    ("alerts", "of_episode", "expected"),
    [
        (["b"], "b", (1, 0, 0, 1.0, 1)),
        ([], "elsewhere", (0, 1, 0, 0.0, 0)),
        ([], "", (0, 0, 1, 0.0, 0)),
    ],
)
def test_recall_counts_every_occurrence_after_the_first(
    known: GroundTruth, alerts: list[str], of_episode: str, expected: tuple[int, int, int, float, int]
) -> None:
    begin = known.start_ms + round(1000 * (DAY_S + 100))
    episodes = [
        Episode(f"{n}", place, "machinery-impact", begin, begin + 50_000, alert=of_episode)
        for n, place in enumerate(known.places)
    ]
    found = recall(with_alerts(known, [alert(DAY_S, event, ["a"]) for event in alerts], episodes))
    assert (found.occurrences, found.at_two_sensors) == (1, 1)
    assert (found.alerted, found.joined, found.missed, found.by_source, found.alerted_once) == expected
    assert found.by_kind == found.alerted + found.joined


def test_windows_are_judged_once_they_are_over(known: GroundTruth) -> None:
    def reported(hour: float) -> AlertMessage:
        at = START + timedelta(hours=hour)
        window = ForecastWindow(start=at, end=at + timedelta(hours=1), probability=0.8, base_rate=0.1)
        pattern = Recurrence(
            category="machinery-impact", episodes=3, days=3, since=START, regularity="daily", next=window
        )
        return alert(0, "b", ["a"]).model_copy(update={"recurrence": pattern})

    alerts = [reported(24), reported(30), reported(47.5), alert(0, "b", ["a"])]
    found = score_forecasts(known, alerts, 0, 2 * DAY_S)
    assert (found.alerts, found.stating, found.judged) == (4, 3, 2)
    assert (found.came_true, found.with_episode) == (0.5, 0.0)
    assert found.stated == pytest.approx(0.8)
    assert found.by_chance == pytest.approx(3 / 48), "the first, the second and the other, each in one hour"


def test_the_most_alerts_of_a_day_are_those_of_any_24_hours() -> None:
    at = [START + timedelta(hours=hours) for hours in (0, 1, 23.9, 24.0, 24.5, 60)]
    assert measure.most_a_day(at) == 4
    assert measure.most_a_day(at[:1]) == 1
    assert measure.most_a_day([]) == 0
