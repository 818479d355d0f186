import copy
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.alert_pricing import Budget, has_budget
from hub.domain.alert_rule import AlertRule, Evaluation, SearchResult, evaluate, shared_presence
from hub.domain.alert_state import AlertState, Needs
from hub.domain.episodes import AMBIENT_CLIPS, ActiveAlert, Episode, Observation, SensorState
from hub.domain.match import Match
from hub.domain.presence_matrix import BOTH, NEITHER, ONE
from hub.domain.sensor_history import SpanRows
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
                rule, clip(0, 0, "dog"), similar(dog=match_probability), AlertState(thresholds={"demo": thresholds})
            ).flagged
        )

    assert (flagged(0.7, {}), flagged(0.5, {})) == (True, False)
    assert (flagged(0.7, {"dog": 0.8}), flagged(0.9, {"dog": 0.8}), flagged(0.7, {"music": 0.8})) == (
        False,
        True,
        True,
    )


def test_what_is_not_detected_in_the_clip_raises_no_alert() -> None:
    assert not evaluate(AlertRule(), clip(0, 0, "music"), similar(dog=0.9), AlertState()).flagged


def test_quiet_clips_raise_no_alert_once_the_ambient_level_is_known() -> None:
    rule, recent = AlertRule(min_above_ambient_db=6.0), SensorState()
    for seq in range(AMBIENT_CLIPS):
        recent.observe(clip(seq, seq * 10_000), 0.5, MINUTE)
    quiet = evaluate(rule, clip(50, 10 * MINUTE, "dog", laeq=65.0), similar(dog=0.9), AlertState({"demo/s": recent}))
    assert not quiet.flagged
    judged = evaluate(rule, clip(51, 11 * MINUTE, "dog", laeq=67.0), similar(dog=0.9), quiet.state)
    assert judged.flagged == {"dog": pytest.approx(0.9)}
    assert judged.above_ambient_db == pytest.approx(7.0, abs=0.6)


def run(rule: AlertRule, minutes: list[float], state: AlertState | None = None) -> list[Evaluation]:
    state, judged = state or AlertState(), []
    for number, at in enumerate(minutes):
        judged.append(evaluate(rule, clip(number, round(at * MINUTE), "dog"), similar(dog=0.9), state))
        state = judged[-1].state
    return judged


def test_an_episode_has_one_alert_and_what_follows_soon_belongs_to_it() -> None:
    judged = run(AlertRule(gap_s=60, cooldown_s=1_800), [0, 0.5, 1, 20, 45, 80])
    assert [bool(j.flagged) for j in judged] == [True, False, False, False, False, True]
    assert {e.alert for j in judged[:5] for e in j.episodes} == {"s.b.0"}, "each goes on within 30 minutes"
    assert len({e.id for j in judged for e in j.episodes}) == 4


def test_one_clip_raises_one_alert_about_all_its_flagged_categories() -> None:
    judged = evaluate(AlertRule(), clip(0, 0, "dog", "music"), similar(music=0.7, dog=0.9), AlertState())
    assert list(judged.flagged) == ["dog", "music"]
    assert [m.event for m, _ in judged.matches] == ["a.b.1"]
    assert judged.matches[0][1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "near",
    [
        SensorState(episodes={"dog": [Episode("o.b.7.7", "demo/near", "dog", 0, 5_000, alert="o.b.7")]}),
        SensorState(calls={"dog": ActiveAlert("o.b.7", 0, MINUTE)}),
    ],
)
def test_an_episode_that_a_nearby_sensor_has_an_alert_for_joins_it(near: SensorState) -> None:
    state = AlertState({"demo/near": near})
    judged = evaluate(AlertRule(), clip(0, 0, "dog"), similar(dog=0.9), state, ["demo/near"])
    assert not judged.flagged
    assert [e.alert for e in judged.episodes] == ["o.b.7"]
    apart = evaluate(AlertRule(), clip(0, 0, "music"), similar(music=0.9), state, ["demo/near"])
    assert apart.flagged


def test_a_decision_names_the_values_that_it_needs() -> None:
    judged = evaluate(AlertRule(), clip(0, 7_200_000, "dog"), similar(dog=0.9), AlertState(), ["demo/near"])
    assert judged.needs.sensors == {"demo/near"}
    assert [span[:2] for span in judged.needs.spans] == [("demo/near", "dog")]
    assert judged.needs.recurrence == {("demo/s", "dog", 2)}
    state = AlertState(recurrence={("demo/s", "dog", 2): 0.0}).with_loaded(
        {"demo/near": SensorState()}, {span: SpanRows((), ()) for span in judged.needs.spans}
    )
    again = evaluate(AlertRule(), clip(0, 7_200_000, "dog"), similar(dog=0.9), state, ["demo/near"])
    assert again.needs == Needs()
    assert again.flagged


def test_a_clip_that_is_worth_no_alert_needs_nothing() -> None:
    judged = evaluate(AlertRule(), clip(0, MINUTE, "dog"), similar(dog=0.1), AlertState(), ["demo/near"])
    assert not judged.needs


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["dog", "music"])), min_size=1, max_size=20))
def test_a_decision_leaves_the_state_that_it_is_given_as_it_is(clips: list[tuple[int, str]]) -> None:
    rule, state = AlertRule(gap_s=60, cooldown_s=120, others_per_day=3.0), AlertState()
    for seq, (minute, category) in enumerate(clips):
        observation, before = clip(seq, minute * MINUTE, category), contents(state)
        judged = evaluate(rule, observation, similar(**{category: 0.9}), state, ["demo/near"])
        assert contents(state) == before
        again = evaluate(rule, observation, similar(**{category: 0.9}), state, ["demo/near"])
        assert contents(again.state) == contents(judged.state)
        state = judged.state


def contents(state: AlertState) -> object:
    """Return a copy of all that a state holds."""
    history = vars(state.history) | {"_rows": None}
    return copy.deepcopy([state.sensors, state.budgets, history])


@given(st.lists(st.floats(0, 600), min_size=1, max_size=40), st.floats(0, 30), st.floats(0, 60))
def test_no_two_alerts_lie_closer_than_the_cooldown_whatever_comes_when(
    minutes: list[float], gap: float, cooldown: float
) -> None:
    rule = AlertRule(gap_s=gap * 60, cooldown_s=cooldown * 60, others_per_day=1e9)
    judged = run(rule, sorted(minutes))
    reported = [at for at, j in zip(sorted(minutes), judged, strict=True) if j.flagged]
    assert reported[:1] == [min(minutes)]
    assert all(b - a >= cooldown - 1e-3 for a, b in itertools.pairwise(reported))
    assert all(e.alert for j in judged for e in j.episodes)


def test_shared_categories_come_most_likely_first() -> None:
    shared = shared_presence(match({"engine": 0.6, "dog": 0.9, "music": 0.2}), 0.5)
    assert list(shared) == ["dog", "engine"]
    assert list(shared.values()) == pytest.approx([0.9, 0.6])


def test_what_belongs_to_no_rhythm_is_reported_as_often_as_the_budget_allows() -> None:
    rule, hours = AlertRule(others_per_day=2.0), [0.0, 2.0, 4.0, 20.0, 24.5, 25.0, 26.5]
    judged = run(rule, [60 * hour for hour in hours])
    assert [hour for hour, j in zip(hours, judged, strict=True) if j.flagged] == [0.0, 2.0, 24.5, 26.5]
    assert not any(j.recurring for j in judged)


def test_what_belongs_to_a_rhythm_is_always_reported_and_costs_nothing() -> None:
    state = AlertState(budgets={"demo": Budget(alerts_ms=(0, 1))}, recurrence={("demo/s", "dog", 0): 0.9})
    rule = AlertRule(others_per_day=2.0)
    assert not evaluate(rule, clip(0, MINUTE, "music"), similar(music=0.9), state).flagged
    judged = evaluate(rule, clip(1, MINUTE, "dog"), similar(dog=0.9), state)
    assert judged.flagged
    assert judged.recurring
    assert judged.state.budgets["demo"].alerts_ms == (0, 1)


def test_what_the_budget_had_no_room_for_is_reported_if_it_still_sounds_when_there_is() -> None:
    rule, day = AlertRule(others_per_day=1.0, gap_s=3_600), 24 * 60 * MINUTE
    judged = run(rule, list(range(8)), AlertState(budgets={"demo": Budget(alerts_ms=(-day + 5 * MINUTE,))}))
    assert [bool(j.flagged) for j in judged] == [n == 5 for n in range(8)]


def test_half_an_alert_a_day_is_one_in_two_days() -> None:
    day = 24 * 60 * MINUTE
    assert not has_budget([0], day, 0.5)
    assert has_budget([0], 2 * day, 0.5)
    assert has_budget([0], day, 1.0)
    assert not has_budget([0, 1], day - 1, 2.9)


def test_a_source_is_known_by_several_matches_not_by_the_best_one_alone() -> None:
    def worth_of(*sources: float) -> float:
        matches = [match({"dog": 0.9}, f"a.b.{n}") for n in range(5)]
        match_probability = np.zeros((5, 8), dtype=np.float32)
        match_probability[:, CATEGORIES.index("dog")] = 0.9
        found = SearchResult(matches, match_probability, np.array(sources, dtype=np.float32))
        state = AlertState(budgets={"demo": Budget(alerts_ms=(0, 0))})
        judged = evaluate(AlertRule(), clip(0, 0, "dog"), found, state)
        (offered,) = judged.state.budgets["demo"].offers.open.values()
        return offered.worth

    assert worth_of(0.95, 0.95, 0.95, 0.95, 0.95) > 3 * worth_of(0.95, 0.1, 0.0, 0.0, 0.0)


def test_the_match_that_is_likely_the_same_source_comes_first() -> None:
    matches = [match({"dog": 0.9}, f"a.b.{n}") for n in range(3)]
    match_probability = np.zeros((3, 8), dtype=np.float32)
    match_probability[:, CATEGORIES.index("dog")] = [0.95, 0.9, 0.5]
    found = SearchResult(matches, match_probability, np.array([0.1, 0.9, 1.0], dtype=np.float32))
    judged = evaluate(AlertRule(), clip(0, 0, "dog"), found, AlertState())
    assert [(m.event, round(p, 2)) for m, p in judged.matches] == [("a.b.1", 0.9), ("a.b.0", 0.95)]


def test_what_belongs_to_a_rhythm_leads_the_alert_that_is_reported_for_it() -> None:
    state = AlertState(recurrence={("demo/s", "dog", 0): 0.9, ("demo/s", "music", 0): 0.0})
    judged = evaluate(AlertRule(), clip(0, 0, "dog", "music"), similar(music=0.9, dog=0.7), state)
    assert judged.recurring
    assert list(judged.flagged) == ["dog", "music"]
