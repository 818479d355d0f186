"""Searches by kind, by source and by both, of a hub with a model that knows sources and one that does not."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from hub.model.checkpoint import default_checkpoint, load, save
from shared.events import Embedding
from shared.feature_space import EARWITNESS_SMALL, VGGISH
from shared.messages.event import encode_event
from shared.mqtt.session import Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from tests.factories import event
from tests.identities import identified
from tests.server_processes import Broker, HubProcess, Store, eventually

pytestmark = pytest.mark.e2e

EACH = 8


@pytest.fixture
def url(tmp_path: Path, broker: Broker, store: Store) -> Iterator[str]:
    """A hub that was sent events of both feature spaces: VGGish, whose model knows sources, and SMALL."""
    paths = [tmp_path / f"{name}.safetensors" for name in ("knows", "knows-not")]
    save(paths[0], identified(load(default_checkpoint(VGGISH.id))))
    save(paths[1], replace(load(default_checkpoint(EARWITNESS_SMALL.id)), identity=None))
    checkpoints = [str(path) for path in paths]
    hub = HubProcess(tmp_path / "hub", broker.port, store.url, f"model.checkpoints={checkpoints}")
    hub.start()
    link = MqttSession(broker.settings, "sender")
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    for number in range(2 * EACH):
        sent = event(number, sensor=f"street-{number // EACH}", after_s=300.0 * number)
        if number >= EACH:
            assert isinstance(sent.body, Embedding)
            sent = replace(sent, body=Embedding(EARWITNESS_SMALL.id, sent.body.features))
        topic = str(SensorTopic(sent.id.site, sent.id.sensor, "event"))
        link.publish(topic, encode_event(sent), content_type="application/cbor")
    eventually(lambda: hub.metric("earwitness_hub_events_archived_total") == 2 * EACH, 60, "all is archived")
    yield f"http://127.0.0.1:{hub.port}"
    link.stop()
    hub.stop()


def test_matches_are_in_the_order_asked_for_and_report_both_probabilities(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as http:
        known, unknown = (
            http.get("/api/v1/events", params={"place": f"demo/street-{n}", "limit": 1}).json()["events"][0]["id"]
            for n in range(2)
        )
        found = {}
        for by in ("kind", "source", "both"):
            answer = http.get(f"/api/v1/events/{known}/similar", params={"by": by, "k": 20})
            assert answer.status_code == 200, answer.text
            found[by] = answer.json()["matches"]
            assert len(found[by]) == EACH - 1
            assert all(one["rank"] >= other["rank"] for one, other in pairwise(found[by]))
            asked = {"event": known, "k": 20, "by": by}
            posted = http.post("/api/v1/search", json=asked, headers={"X-Earwitness": "test"})
            assert {match["event"] for match in posted.json()["matches"]} == {m["event"] for m in found[by]}
        of_source = [match["same_source"] for match in found["source"]]
        assert of_source == sorted(of_source, reverse=True)
        reported = {match["event"]: (match["match_probability"], match["same_source"]) for match in found["kind"]}
        for by in ("source", "both"):
            for match in found[by]:
                kind, source = reported[match["event"]]
                assert match["match_probability"] == pytest.approx(kind, abs=1e-4)
                assert match["same_source"] == pytest.approx(source, abs=1e-4)
        default = http.get(f"/api/v1/events/{known}/similar", params={"k": 20}).json()["matches"]
        assert default == found["both"]
        why = http.get(f"/api/v1/events/{known}/explanation", params={"match": found["both"][0]["event"]}).json()
        assert why["same_source"] is not None

        without = http.get(f"/api/v1/events/{unknown}/similar", params={"k": 20}).json()["matches"]
        assert [match["same_source"] for match in without] == [None] * (EACH - 1)
        refused = http.get(f"/api/v1/events/{unknown}/similar", params={"by": "source"})
        assert refused.status_code == 422
        assert "does not distinguish sources" in refused.json()["detail"]
        assert http.get(f"/api/v1/events/{known}/similar", params={"by": "colour"}).status_code == 422

        page = http.get("/search", params={"event": known, "by": "source"})
        assert page.status_code == 200
        assert '<option value="source" selected>' in page.text
        assert "same source" in page.text
        refused = http.get("/search", params={"event": unknown, "by": "source"})
        assert (refused.status_code, "does not distinguish sources" in refused.text) == (422, True)
        assert 'by="source"' in http.get("/metrics").text
