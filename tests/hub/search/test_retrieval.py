from dataclasses import replace

import numpy as np
import pytest

from hub.domain.match import Match
from hub.domain.records import StoredEmbeddings, StoredEvent
from hub.model.checkpoint import Checkpoint, default_checkpoint, load
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.search.backend import By, Exclusion, Query
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from shared.errors import UnsupportedError
from shared.feature_space import VGGISH
from tests.factories import stored
from tests.identities import MATCH, identified

SCORER = Scorer(identified(load(default_checkpoint(VGGISH.id))))
OWN, OTHER = stored(1), stored(2)


def found(towers: StoredEmbeddings | None, event: StoredEvent = OWN) -> float:
    """Rank by kind of an event with these towers in the archive, for a query that is the event `OTHER`."""
    retrieval = Retrieval([SCORER])
    assert retrieval.load([replace(event, towers=towers)]) == 0
    query = Query(retrieval.embed(VGGISH.id, OTHER.features), 1, Exclusion())
    ((match,),) = retrieval.search_all([(VGGISH.id, query)])
    return match.kind_rank


def test_towers_in_the_archive_are_used_if_this_network_computed_them() -> None:
    retrieval = Retrieval([SCORER])
    towers = retrieval.embeddings_to_store(VGGISH.id, retrieval.embed(VGGISH.id, OTHER.features))
    assert towers is not None
    computed, of_other = found(None), found(None, OTHER)
    assert computed != pytest.approx(of_other, abs=1e-2)
    assert found(towers) == pytest.approx(of_other, abs=1e-3)
    assert towers.identity.nbytes == 64
    assert found(StoredEmbeddings("another", towers.values, towers.identity)) == computed
    assert found(StoredEmbeddings(towers.network, towers.values[:5], towers.identity)) == computed
    assert found(StoredEmbeddings(towers.network, towers.values)) == computed


def test_an_archived_event_is_found_as_when_it_was_new() -> None:
    retrieval = Retrieval([SCORER])
    towers = retrieval.embeddings_to_store(VGGISH.id, retrieval.embed(VGGISH.id, OWN.features))
    assert found(towers) == pytest.approx(found(None), abs=1e-3)


def test_towers_larger_than_features_are_not_archived() -> None:
    paper = Scorer(Checkpoint(SiameseNetwork(NetworkConfig(10, 128)).eval(), VGGISH, {}))
    assert Retrieval([paper]).embeddings_to_store(VGGISH.id, np.zeros((10, 128), dtype=np.float32)) is None


def searched(by: By, event: StoredEvent = OWN) -> Match:
    """The match of an event with itself."""
    retrieval = Retrieval([SCORER])
    retrieval.load([event])
    ((match,),) = retrieval.search_all([(VGGISH.id, Query(retrieval.embed(VGGISH.id, event.features), 1, by=by))])
    return match


def test_match_probability_is_by_kind_whatever_was_asked() -> None:
    retrieval = Retrieval([SCORER])
    rows = [retrieval.match_probability(VGGISH.id, [searched(by)]) for by in By]
    for row in rows[1:]:
        np.testing.assert_allclose(row, rows[0], atol=1e-3)
    (compared,) = retrieval.compare(OWN, [OWN])
    np.testing.assert_allclose(retrieval.match_probability(VGGISH.id, [compared]), rows[0], atol=1e-3)


def test_matches_report_how_likely_they_are_of_the_same_source() -> None:
    retrieval = Retrieval([SCORER])
    matches = [searched(by) for by in By]
    assert [match.identity for match in matches] == pytest.approx([1.0] * 3, abs=0.02)
    expected = MATCH(np.array([match.identity for match in matches]))
    np.testing.assert_allclose(retrieval.same_source(VGGISH.id, matches), expected, atol=1e-5)
    assert retrieval.same_sources(VGGISH.id, matches) == pytest.approx(expected.tolist())
    identities = retrieval.identity(VGGISH.id, retrieval.embed(VGGISH.id, OWN.features)[None])
    assert identities.shape == (1, 64)


def test_a_model_without_identities_reports_no_source_and_is_not_searched_by_it() -> None:
    bare = replace(load(default_checkpoint(VGGISH.id)), identity=None)
    retrieval = Retrieval([Scorer(bare)])
    retrieval.load([OWN])
    towers = retrieval.embed(VGGISH.id, OWN.features)
    ((match,),) = retrieval.search_all([(VGGISH.id, Query(towers, 1))])
    assert (match.identity, retrieval.same_sources(VGGISH.id, [match])) == (0.0, [None])
    with pytest.raises(UnsupportedError, match="does not distinguish sources"):
        retrieval.search_all([(VGGISH.id, Query(towers, 1, by=By.SOURCE))])
