"""A sensor's history does not depend on the order in which its clips come."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.alert_rule import AlertRule, Evaluation, SearchResult, evaluate, of_others
from hub.domain.alert_state import AlertState
from hub.domain.episodes import Episode, Observation
from hub.domain.match import Match
from hub.domain.sensor_history import History
from shared.taxonomy import CATEGORIES

RULE = AlertRule(gap_s=60.0, cooldown_s=600.0, others_per_day=1e9)
DOG = CATEGORIES.index("dog")

Clip = tuple[int, float, float]
"""Begin in seconds, presence of a dog, match probability with a past event."""
begins = st.integers(0, 4_000)
sure = st.tuples(begins, st.sampled_from([0.5, 0.9]), st.sampled_from([0.0, 0.5, 0.6, 0.9]))
unsure = st.tuples(begins, st.sampled_from([0.0, 0.3, 0.4, 0.49]), st.sampled_from([0.0, 0.5]))
"""A clip in doubt that is worth an alert raises one only if it comes after the one that opens: left out here."""
clips = st.lists(st.one_of(sure, unsure), max_size=40, unique_by=lambda clip: clip[0])


def found(*match_probability: float, place: str = "demo/other", at_ms: Sequence[int] = ()) -> SearchResult:
    times = at_ms or [0] * len(match_probability)
    matches = [Match(f"o.b.{n}", place, ms, 8.0, 8.0, np.zeros((8, 3), np.float32)) for n, ms in enumerate(times)]
    rows = np.zeros((len(match_probability), 8), np.float32)
    rows[:, DOG] = match_probability
    return SearchResult(matches, rows)


def observation(at_s: int, presence: float) -> Observation:
    values = tuple(presence if number == DOG else 0.0 for number in range(8))
    return Observation(f"s.b.{at_s}", "demo/s", at_s * 1_000, at_s * 1_000 + 10_000, 60.0, "dB", values)


def judged(order: Sequence[Clip]) -> tuple[History, list[Evaluation]]:
    state, answers = AlertState(), []
    for at, presence, match_probability in order:
        answers.append(evaluate(RULE, observation(at, presence), found(match_probability), state))
        state = answers[-1].state.with_loaded({}, {})
    return state.history, answers


def reported(history: History) -> list[tuple[object, ...]]:
    episodes = sorted(history.changed.values(), key=lambda e: e.opened_ms)
    return [
        (e.opened_ms, e.last_ms, e.clips, e.max_laeq, e.max_match_probability, e.peak_presence, bool(e.alert))
        for e in episodes
    ]


@settings(max_examples=100)
@given(order=clips, data=st.data())
def test_episodes_counts_and_cool_downs_are_the_same_in_any_order_of_arrival(
    order: list[Clip], data: st.DataObject
) -> None:
    in_time, _ = judged(sorted(order))
    as_it_came, _ = judged(data.draw(st.permutations(order)))
    assert reported(as_it_came) == reported(in_time)
    assert not as_it_came.merged.keys() & as_it_came.changed.keys()
    assert set(as_it_came.into.values()) <= as_it_came.changed.keys() | as_it_came.merged.keys()


@settings(max_examples=100)
@given(order=clips, data=st.data())
def test_no_clip_raises_an_alert_within_the_cool_down_of_another(order: list[Clip], data: st.DataObject) -> None:
    arrived = data.draw(st.permutations(order))
    _, answers = judged(arrived)
    at = sorted(clip[0] for clip, answer in zip(arrived, answers, strict=True) if answer.flagged)
    assert all(later - earlier >= RULE.cooldown_s for earlier, later in itertools.pairwise(at))


def test_a_backlog_after_live_clips_makes_whole_episodes_and_one_alert_each() -> None:
    live = [(100_000 + 10 * n, 0.9, 0.9) for n in range(30)]
    backlog = [(20_000 * hour + 10 * n, 0.9, 0.9) for hour in range(4) for n in range(100)]
    history, answers = judged([*live, *backlog])
    assert [(e.opened_ms, e.clips) for e in sorted(history.changed.values(), key=lambda e: e.opened_ms)] == [
        *((20_000_000 * hour, 100) for hour in range(4)),
        (100_000_000, 30),
    ]
    assert sum(bool(answer.flagged) for answer in answers) == 5


def test_a_clip_between_two_episodes_makes_them_one_under_the_name_that_has_the_alert() -> None:
    history, answers = judged([(0, 0.9, 0.0), (100, 0.9, 0.9), (50, 0.9, 0.0)])
    (episode,) = history.changed.values()
    assert (episode.opened_ms, episode.last_ms, episode.clips) == (0, 110_000, 3)
    assert episode.alert == "s.b.100"
    assert episode.id == "s.b.100.7"
    assert history.into == {"s.b.0.7": "s.b.100.7"}
    assert [bool(answer.flagged) for answer in answers] == [False, True, False]


def test_a_clip_in_doubt_that_came_before_the_one_that_opens_belongs_to_its_episode() -> None:
    history, _ = judged([(0, 0.0, 0.0), (70, 0.4, 0.0), (40, 0.4, 0.0), (20, 0.9, 0.0)])
    (episode,) = history.changed.values()
    assert (episode.opened_ms, episode.last_ms, episode.clips) == (20_000, 80_000, 3)


@pytest.mark.parametrize(("ago_s", "counts"), [(0, False), (200, False), (400, True)])
def test_a_match_in_the_clips_own_episode_is_no_match(ago_s: int, counts: bool) -> None:
    episode = Episode("s.b.0.7", "demo/s", "dog", 100_000, 410_000)
    own = found(0.9, place="demo/s", at_ms=[400_000 - 1_000 * ago_s])
    match_probability = of_others(own, "demo/s", [episode])
    assert bool(match_probability[0, DOG]) is counts
    assert own.match_probability[0, DOG] > 0, "what was found stays as it is"
    assert of_others(own, "demo/another", [episode])[0, DOG] > 0


def test_an_alert_is_never_about_its_own_episode() -> None:
    state = AlertState()
    for n in range(40):
        clip = observation(10 * n, 0.9)
        similar = found(0.95, 0.93, place="demo/s", at_ms=[0, max(0, 10_000 * n - 200_000)])
        answer = evaluate(RULE, clip, similar, state)
        assert not answer.flagged
        state = answer.state
    yesterday = found(0.95, 0.9, place="demo/s", at_ms=[200_000, -86_400_000])
    answer = evaluate(RULE, observation(400, 0.9), yesterday, state)
    assert [match.captured_ms for match, _ in answer.matches] == [-86_400_000]
    assert answer.flagged["dog"] == pytest.approx(0.9)
