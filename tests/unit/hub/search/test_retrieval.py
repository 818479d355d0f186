from dataclasses import replace

import numpy as np
import pytest

from hub.model.checkpoint import Checkpoint, load, shipped
from hub.model.network import NetworkConfig, SiameseNetwork
from hub.search.match import Exclusion, Query
from hub.search.retrieval import Retrieval
from hub.search.scorer import Scorer
from hub.stored import StoredEvent, StoredTowers
from shared.space import VGGISH
from tests.values import stored

SCORER = Scorer(load(shipped(VGGISH.id)))
OWN, OTHER = stored(1), stored(2)


def found(towers: StoredTowers | None, event: StoredEvent = OWN) -> float:
    """Rank of an event with these towers in the archive, for a query that is the event `OTHER`."""
    retrieval = Retrieval([SCORER])
    assert retrieval.load([replace(event, towers=towers)]) == 0
    query = Query(retrieval.embed(VGGISH.id, OTHER.features), 1, Exclusion())
    ((match,),) = retrieval.search_all([(VGGISH.id, query)])
    return match.rank


def test_towers_in_the_archive_are_used_if_this_network_computed_them() -> None:
    retrieval = Retrieval([SCORER])
    towers = retrieval.to_archive(VGGISH.id, retrieval.embed(VGGISH.id, OTHER.features))
    assert towers is not None
    computed, of_other = found(None), found(None, OTHER)
    assert computed != pytest.approx(of_other, abs=1e-2)
    assert found(towers) == pytest.approx(of_other, abs=1e-3)
    assert found(StoredTowers("another", towers.values)) == computed
    assert found(StoredTowers(towers.network, towers.values[:5])) == computed


def test_an_archived_event_is_found_as_when_it_was_new() -> None:
    retrieval = Retrieval([SCORER])
    towers = retrieval.to_archive(VGGISH.id, retrieval.embed(VGGISH.id, OWN.features))
    assert found(towers) == pytest.approx(found(None), abs=1e-3)


def test_towers_larger_than_features_are_not_archived() -> None:
    paper = Scorer(Checkpoint(SiameseNetwork(NetworkConfig(10, 128)).eval(), VGGISH, {}))
    assert Retrieval([paper]).to_archive(VGGISH.id, np.zeros((10, 128), dtype=np.float32)) is None
