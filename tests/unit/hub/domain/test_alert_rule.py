import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.alert_pricing import has_budget
from hub.domain.alert_rule import AlertRule, Evaluation, SearchResult, SiteContext, evaluate, shared_presence
from hub.domain.episodes import AMBIENT_CLIPS, Episode, Observation, SensorState
from hub.domain.match import Match
from hub.domain.presence_matrix import BOTH, NEITHER, ONE
from shared.taxonomy import CATEGORIES

MINUTE = 60_000


def match(both: dict[str, float], event: str = "a.b.1") -> Match:
    matrix = np.zeros((8, 3), np.float32)
    matrix[:, NEITHER] = 1.0
    for name, p in both.items():
        matrix[CATEGORIES.index(name)] = 0
        matrix[CATEGORIES.index(name), BOTH] = p
        matrix[CATEGORIES.index(name), ONE] = 1 - p
    return Match(event=event, place="demo/a", captured_ms=0, level=8.0, rank=8.0, matrix=matrix)


def clip(seq: int, at_ms: int, *categories: str, laeq: float = 60.0) -> Observation:
    presence = tuple(0.9 if name in categories else 0.0 for name in CATEGORIES)
    return Observation(f"s.b.{seq}", "demo/s", at_ms, at_ms + 10_000, laeq, "dB", presence)


def similar(**match_probability: float) -> SearchResult:
    row = np.array([[match_probability.get(name.replace("-", "_"), 0.0) for name in CATEGORIES]], dtype=np.float32)
    return SearchResult([match({name.replace("_", "-"): 0.9 for name in match_probability})], row)


def test_an_alert_needs_the_sites_threshold_and_else_the_rules() -> None:
    rule = AlertRule(threshold=0.6)

    def flagged(match_probability: float, thresholds: dict[str, float]) -> bool:
        return bool(
            evaluate(
                rule, clip(0, 0, "dog"), SensorState(), similar(dog=match_probability), SiteContext(thresholds)
            ).flagged
        )

    assert (flagged(0.7, {}), flagged(0.5, {})) == (True, False)
    assert (flagged(0.7, {"dog": 0.8}), flagged(0.9, {"dog": 0.8}), flagged(0.7, {"music": 0.8})) == (
        False,
        True,
        True,
    )


def test_what_is_not_heard_in_the_clip_raises_no_alert() -> None:
    assert not evaluate(AlertRule(), clip(0, 0, "music"), SensorState(), similar(dog=0.9), SiteContext()).flagged


def test_quiet_clips_raise_no_alert_once_the_ambient_level_is_known() -> None:
    rule, recent = AlertRule(min_above_ambient_db=6.0), SensorState()
    for seq in range(AMBIENT_CLIPS):
        recent.observe(clip(seq, seq * 10_000), 0.5, MINUTE)
    assert not evaluate(
        rule, clip(50, 10 * MINUTE, "dog", laeq=65.0), recent, similar(dog=0.9), SiteContext()
    ).flagged
    judged = evaluate(rule, clip(51, 11 * MINUTE, "dog", laeq=67.0), recent, similar(dog=0.9), SiteContext())
    assert judged.flagged == {"dog": pytest.approx(0.9)}
    assert judged.above_ambient_db == pytest.approx(7.0, abs=0.6)


def run(rule: AlertRule, minutes: list[float], recent: SensorState) -> list[Evaluation]:
    around = SiteContext()
    clips = [clip(number, round(at * MINUTE), "dog") for number, at in enumerate(minutes)]
    return [evaluate(rule, heard, recent, similar(dog=0.9), around) for heard in clips]


def test_an_episode_has_one_alert_and_what_follows_soon_belongs_to_it() -> None:
    judged = run(AlertRule(gap_s=60, cooldown_s=1_800), [0, 0.5, 1, 20, 45, 80], SensorState())
    assert [bool(j.flagged) for j in judged] == [True, False, False, False, False, True]
    assert {e.alert for j in judged[:5] for e in j.episodes} == {"s.b.0"}, "each goes on within 30 minutes"
    assert len({e.id for j in judged for e in j.episodes}) == 4


def test_one_clip_raises_one_alert_about_all_its_flagged_categories() -> None:
    judged = evaluate(
        AlertRule(), clip(0, 0, "dog", "music"), SensorState(), similar(music=0.7, dog=0.9), SiteContext()
    )
    assert list(judged.flagged) == ["dog", "music"]
    assert [m.event for m, _ in judged.matches] == ["a.b.1"]
    assert judged.matches[0][1] == pytest.approx(0.9)


def test_an_episode_that_a_nearby_sensor_told_of_joins_its_alert() -> None:
    asked: list[Episode] = []

    def nearby(episode: Episode) -> str:
        asked.append(episode)
        return "other.b.7"

    judged = evaluate(
        AlertRule(), clip(0, 0, "dog"), SensorState(), similar(dog=0.9), SiteContext(nearby_alert=nearby)
    )
    assert not judged.flagged
    assert [e.alert for e in judged.episodes] == ["other.b.7"]
    assert [e.category for e in asked] == ["dog"]


@given(st.lists(st.floats(0, 600), min_size=1, max_size=40), st.floats(0, 30), st.floats(0, 60))
def test_no_two_alerts_lie_closer_than_the_cooldown_whatever_comes_when(
    minutes: list[float], gap: float, cooldown: float
) -> None:
    rule = AlertRule(gap_s=gap * 60, cooldown_s=cooldown * 60, others_per_day=1e9)
    judged = run(rule, sorted(minutes), SensorState())
    told = [at for at, j in zip(sorted(minutes), judged, strict=True) if j.flagged]
    assert told[:1] == [min(minutes)]
    assert all(b - a >= cooldown - 1e-3 for a, b in itertools.pairwise(told))
    assert all(e.alert for j in judged for e in j.episodes)


def test_shared_categories_come_likeliest_first() -> None:
    shared = shared_presence(match({"engine": 0.6, "dog": 0.9, "music": 0.2}), 0.5)
    assert list(shared) == ["dog", "engine"]
    assert list(shared.values()) == pytest.approx([0.9, 0.6])


def test_what_belongs_to_no_rhythm_is_told_as_often_as_the_budget_allows() -> None:
    rule, hours = AlertRule(others_per_day=2.0), [0.0, 2.0, 4.0, 20.0, 24.5, 25.0, 26.5]
    judged = run(rule, [60 * hour for hour in hours], SensorState())
    assert [hour for hour, j in zip(hours, judged, strict=True) if j.flagged] == [0.0, 2.0, 24.5, 26.5]
    assert not any(j.recurring for j in judged)


def test_what_belongs_to_a_rhythm_is_always_told_and_costs_nothing() -> None:
    around = SiteContext(others=[0, 1], belonging=lambda episode: 0.9 if episode.category == "dog" else 0.0)
    spent, rule = list(around.others), AlertRule(others_per_day=2.0)
    assert not evaluate(rule, clip(0, MINUTE, "music"), SensorState(), similar(music=0.9), around).flagged
    judged = evaluate(rule, clip(1, MINUTE, "dog"), SensorState(), similar(dog=0.9), around)
    assert judged.flagged
    assert judged.recurring
    assert around.others == spent


def test_what_the_budget_had_no_room_for_is_told_if_it_still_sounds_when_there_is() -> None:
    rule, recent, day = AlertRule(others_per_day=1.0, gap_s=3_600), SensorState(), 24 * 60 * MINUTE
    around = SiteContext(others=[-day + 5 * MINUTE])
    told = [
        bool(evaluate(rule, clip(n, n * MINUTE, "dog"), recent, similar(dog=0.9), around).flagged) for n in range(8)
    ]
    assert told == [n == 5 for n in range(8)]


def test_half_an_alert_a_day_is_one_in_two_days() -> None:
    day = 24 * 60 * MINUTE
    assert not has_budget([0], day, 0.5)
    assert has_budget([0], 2 * day, 0.5)
    assert has_budget([0], day, 1.0)
    assert not has_budget([0, 1], day - 1, 2.9)


def test_a_source_is_known_by_several_matches_not_by_the_best_one_alone() -> None:
    def worth_of(*sources: float) -> float:
        around, matches = SiteContext(), [match({"dog": 0.9}, f"a.b.{n}") for n in range(5)]
        match_probability = np.zeros((5, 8), dtype=np.float32)
        match_probability[:, CATEGORIES.index("dog")] = 0.9
        found = SearchResult(matches, match_probability, np.array(sources, dtype=np.float32))
        around.others.extend([0, 0])
        evaluate(AlertRule(), clip(0, 0, "dog"), SensorState(), found, around)
        (offered,) = around.offers.open.values()
        return offered.worth

    assert worth_of(0.95, 0.95, 0.95, 0.95, 0.95) > 3 * worth_of(0.95, 0.1, 0.0, 0.0, 0.0)


def test_the_match_that_is_likely_the_same_source_comes_first() -> None:
    matches = [match({"dog": 0.9}, f"a.b.{n}") for n in range(3)]
    match_probability = np.zeros((3, 8), dtype=np.float32)
    match_probability[:, CATEGORIES.index("dog")] = [0.95, 0.9, 0.5]
    found = SearchResult(matches, match_probability, np.array([0.1, 0.9, 1.0], dtype=np.float32))
    judged = evaluate(AlertRule(), clip(0, 0, "dog"), SensorState(), found, SiteContext())
    assert [(m.event, round(p, 2)) for m, p in judged.matches] == [("a.b.1", 0.9), ("a.b.0", 0.95)]


def test_what_belongs_to_a_rhythm_leads_the_alert_that_is_told_for_it() -> None:
    around = SiteContext(belonging=lambda episode: 0.9 if episode.category == "dog" else 0.0)
    judged = evaluate(AlertRule(), clip(0, 0, "dog", "music"), SensorState(), similar(music=0.9, dog=0.7), around)
    assert judged.recurring
    assert list(judged.flagged) == ["dog", "music"]
