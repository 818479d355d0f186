"""Looking at events again, with a real store: why they match, and what a candidate network would have stated."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from hub.alerting.explanation import MatchExplainer
from hub.alerting.shadow import ShadowModel
from hub.domain.alert_rule import AlertRule
from hub.domain.records import StoredEvent
from hub.features.selection import load_extractor
from hub.model.checkpoint import baseline_checkpoint, default_checkpoint, load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH
from shared.messages.alert import AlertMessage, MatchMessage
from shared.synthetic_scene import SoundCast, mix_scene
from shared.taxonomy import CATEGORIES
from tests.factories import stored
from tests.hub.store.test_episodes import MONDAY, event

pytestmark = pytest.mark.redis

SAW = CATEGORIES.index("powered-saw")


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(load(default_checkpoint(EARWITNESS_SMALL.id)))


@pytest.fixture(scope="module")
def embedded_events(scorer: Scorer) -> list[StoredEvent]:
    """Two saws and a dog, embedded by the shipped network."""
    rng = np.random.default_rng(3)
    extractor = load_extractor(EARWITNESS_SMALL.id, Path())
    cast = SoundCast.drawn(3, per_category=1)
    scenes = [mix_scene([name], rng, 16_000, cast=cast) for name in ("powered-saw", "powered-saw", "dog")]
    features = np.stack([extractor.extract(scene.waveform, 16_000) for scene in scenes])
    presence = scorer.presence(scorer.embed(features))
    return [
        replace(
            event(number, MONDAY + timedelta(hours=number)),
            space=EARWITNESS_SMALL.id,
            features=own,
            presence=tuple(map(float, row)),
        )
        for number, (own, row) in enumerate(zip(features, presence, strict=True))
    ]


def explainer(archive: EventStore, scorer: Scorer, threshold: float = 0.3) -> MatchExplainer:
    return MatchExplainer(Retrieval([scorer]), EpisodeStore(archive), AlertRule(threshold=threshold))


def test_two_saws_match_because_of_the_saw_and_would_not_without(
    archive: EventStore, scorer: Scorer, embedded_events: list[StoredEvent]
) -> None:
    why = explainer(archive, scorer).explain(embedded_events[1], embedded_events[0])
    assert why.lead == "powered-saw"
    assert why.match_probability > why.threshold == 0.3
    assert [row.category for row in why.categories] == list(CATEGORIES)
    assert all(row.both + row.neither + row.one == pytest.approx(1.0, abs=1e-3) for row in why.categories)
    assert "If only one of them had contained powered-saw" in why.counterfactuals[0]
    assert why.frames.shape == why.match_frames.shape == (EARWITNESS_SMALL.frames,)
    assert why.frames.max() == why.match_frames.max() == pytest.approx(1.0)


def test_a_saw_and_a_dog_are_no_match(
    archive: EventStore, scorer: Scorer, embedded_events: list[StoredEvent]
) -> None:
    why = explainer(archive, scorer).explain(embedded_events[2], embedded_events[0])
    assert why.match_probability < 0.3
    assert why.lead != "powered-saw"


def test_attention_is_reported_of_every_kind_of_network(archive: EventStore) -> None:
    for path, space in ((default_checkpoint(LOGMEL.id), LOGMEL), (baseline_checkpoint(VGGISH.id, "paper"), VGGISH)):
        own = replace(stored(0), space=space.id, features=np.full(space.shape, 128, np.uint8), presence=(0.5,) * 8)
        drawn = explainer(archive, Scorer(load(path))).attention(own)
        assert drawn.max() == pytest.approx(1.0)
        assert ((drawn >= 0) & (drawn <= 1)).all()


def test_events_of_different_feature_spaces_are_not_compared(
    archive: EventStore, scorer: Scorer, embedded_events: list[StoredEvent]
) -> None:
    with pytest.raises(InvalidError, match="cannot be compared"):
        explainer(archive, scorer).explain(embedded_events[0], event(9, MONDAY))


def alert(of: StoredEvent, match: StoredEvent) -> AlertMessage:
    past = MatchMessage(
        event=str(match.id), site="demo", sensor="s1", captured_at=MONDAY, level=8.0, shared={"powered-saw": 0.9}
    )
    return AlertMessage(
        event=str(of.id),
        site="demo",
        sensor="s1",
        captured_at=of.captured_at,
        laeq=60.0,
        lafmax=65.0,
        level_unit="dB",
        presence={},
        matches=[past],
        categories=["powered-saw"],
    )


def test_a_candidate_in_the_shadow_states_what_it_thinks_of_an_alert(
    archive: EventStore, scorer: Scorer, embedded_events: list[StoredEvent]
) -> None:
    archive.add_many(embedded_events)
    shadow = ShadowModel(archive, scorer)
    saws, dog = (
        shadow.match_probability(alert(embedded_events[1], embedded_events[0])),
        shadow.match_probability(alert(embedded_events[2], embedded_events[0])),
    )
    assert saws is not None
    assert dog is not None
    assert saws == pytest.approx(
        explainer(archive, scorer).explain(embedded_events[1], embedded_events[0]).match_probability, abs=0.02
    )
    assert dog < 0.1 < saws
    assert (
        ShadowModel(archive, Scorer(load(default_checkpoint(VGGISH.id)))).match_probability(
            alert(embedded_events[1], embedded_events[0])
        )
        is None
    )
    assert shadow.match_probability(alert(event(77, MONDAY), embedded_events[0])) is None, "that event is not there"


def test_a_category_that_is_not_shared_has_no_match_probability(
    scorer: Scorer, embedded_events: list[StoredEvent]
) -> None:
    retrieval = Retrieval([scorer])
    matches = retrieval.compare(embedded_events[1], [embedded_events[0], embedded_events[2]])
    plain, shared = (
        retrieval.match_probability(EARWITNESS_SMALL.id, matches),
        retrieval.match_probability(EARWITNESS_SMALL.id, matches, 0.5),
    )
    assert shared[0, SAW] == plain[0, SAW] > 0.0
    assert shared[1, SAW] == 0.0
    assert not retrieval.match_probability(EARWITNESS_SMALL.id, matches, 1.0).any()
