"""An unexpected error stops one message, and never those beside it, on every store."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry

from hub.domain.records import StoredEvent
from hub.ingest.messages import Outcome
from hub.ingest.pipeline import Pipeline
from hub.ingest.quarantine import TRIES, Quarantine
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.feature_space import Features
from tests.factories import event
from tests.hub.ingest.test_pipeline import message, pipeline
from tests.pipelines import SCORERS

pytestmark = pytest.mark.redis

POISON = 7


class Faulty(Retrieval):
    """Retrieval with a fault that one event meets, at one step of the way."""

    def __init__(self, step: str, error: type[BaseException] = ZeroDivisionError, times: int = 10**9) -> None:
        super().__init__(SCORERS)
        self._step = step
        self._error = error
        self.left = times
        sent = event(POISON).body
        self._features = sent.features.tobytes()  # type: ignore[union-attr] # it is an embedding

    def _meet(self, step: str, *, here: bool) -> None:
        if here and step == self._step and self.left > 0:
            self.left -= 1
            raise self._error("a fault of ours")

    def embed_all(self, space: str, features: Features) -> npt.NDArray[np.float32]:
        self._meet("embed", here=any(one.tobytes() == self._features for one in features))
        return super().embed_all(space, features)

    def add_all(self, events: Sequence[StoredEvent], towers: Sequence[npt.NDArray[np.float32]]) -> None:
        self._meet("add", here=any(one.id.seq == POISON for one in events))
        super().add_all(events, towers)


def outcomes(hub: Pipeline, numbers: Sequence[int]) -> list[Outcome]:
    careful = Quarantine(hub)
    items = careful.prepare([message(number) for number in numbers])
    return [handled.outcome for handled in careful.process(items)]


@pytest.mark.parametrize("step", ["embed", "add"])
def test_one_poisonous_message_of_a_batch_is_set_aside_and_the_others_are_archived_once(
    archive: EventStore, step: str
) -> None:
    metrics = HubMetrics(CollectorRegistry())
    hub = pipeline(archive, Faulty(step), metrics=metrics)
    reported = outcomes(hub, range(20))
    assert metrics.registry.get_sample_value("earwitness_hub_messages_quarantined_total") == 1
    assert reported == [Outcome.DEAD_LETTER if number == POISON else Outcome.ARCHIVED for number in range(20)]
    (letter,) = archive.letters.page()
    assert (letter.kind, letter.is_complete) == ("bug", True)
    assert "ZeroDivisionError: a fault of ours" in letter.reason
    assert "Traceback" in letter.reason
    assert archive.letters.payload(letter.id) == message(POISON)[1]
    kept = [one.id.seq for one in archive.events(limit=100)]
    assert sorted(set(kept) - {POISON}) == [number for number in range(20) if number != POISON]
    assert len(kept) == len(set(kept))
    assert archive.sensors.all()[0].events == len(kept)
    assert outcomes(hub, [18, 19, 20]) == [Outcome.REPEAT, Outcome.REPEAT, Outcome.ARCHIVED]


def test_what_was_set_aside_is_taken_once_the_fault_is_mended(archive: EventStore) -> None:
    outcomes(pipeline(archive, Faulty("add")), range(10))
    assert outcomes(pipeline(archive), [POISON]) == [Outcome.ARCHIVED]
    assert archive.count() == 10


def test_a_fault_that_does_not_come_again_sets_nothing_aside(archive: EventStore) -> None:
    for times in range(1, TRIES + 1):
        hub = pipeline(archive, Faulty("add", times=times))
        assert set(outcomes(hub, range(10 * times, 10 * times + 8))) == {Outcome.ARCHIVED}
    assert archive.letters.count() == 0


@pytest.mark.parametrize("step", ["embed", "add"])
def test_a_server_that_is_away_is_left_to_the_caller(archive: EventStore, step: str) -> None:
    retrieval = Faulty(step, UnavailableError, times=1)
    hub = pipeline(archive, retrieval)
    with pytest.raises(UnavailableError):
        outcomes(hub, range(10))
    assert set(outcomes(hub, range(10))) == {Outcome.ARCHIVED}
    assert archive.letters.count() == 0
