"""Sensors that send no sound: embeddings of our own backbone, and of one that a user brought, all the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hub.model.checkpoint import Checkpoint, default_checkpoint, save
from hub.model.siamese import NetworkConfig, SiameseNetwork
from shared.backbones.manifest import read
from shared.feature_space import EARWITNESS_SMALL
from tests.backbone_factory import write_backbone
from tests.server_processes import Broker, EdgeProcess, HubProcess, Store, eventually

pytestmark = pytest.mark.e2e

EACH = 6


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """Description of a backbone, with a checkpoint for it beside: the paper's network, untrained."""
    description = write_backbone(tmp_path)
    space = read(description).space
    torch.manual_seed(0)
    network = SiameseNetwork(NetworkConfig(frames=space.frames, dimension=space.dimension))
    save(tmp_path / "mine.safetensors", Checkpoint(network.eval().requires_grad_(False), space, {}))
    return description


@pytest.fixture
def sent(tmp_path: Path, broker: Broker, hub: HubProcess, brought: Path) -> HubProcess:
    """The hub, after a sensor of each kind sent all it has."""
    for name, space in (("ours", "earwitness-small"), ("mine", str(brought))):
        settings = (f"sensor.name={name}", "source.kind=synthetic", "source.speed=100", f"source.max_clips={EACH}")
        edge = EdgeProcess(tmp_path / name, broker.port, *settings, f"features.space={space}")
        assert edge.finish()["published"] == EACH
    return hub


@pytest.fixture
def hub(
    tmp_path: Path, broker: Broker, store: Store, brought: Path, request: pytest.FixtureRequest
) -> Iterator[HubProcess]:
    """A hub as it ships, or one configured with the user's backbones."""
    checkpoints = [str(default_checkpoint(EARWITNESS_SMALL.id)), str(brought.with_suffix(".safetensors"))]
    settings = [f"store.audio_dir={tmp_path / 'clips'}", "search.exclude_same_sensor_s=1"]
    if request.param:
        settings += [f'features.extra_backbones=["{brought}"]', f"model.checkpoints={checkpoints}"]
    process = HubProcess(tmp_path / "hub", broker.port, store.url, *settings)
    process.start()
    yield process
    process.stop()


def archived(hub: HubProcess) -> list[tuple[object, object]]:
    events = hub.get("/api/v1/events?limit=100")["events"]
    assert isinstance(events, list)
    return sorted((event["sensor"], event["space"]) for event in events)


@pytest.mark.parametrize("hub", [False], indirect=True, ids=["as it ships"])
def test_our_own_is_taken_without_a_setting_and_an_unknown_one_is_kept_with_the_reason(
    sent: HubProcess, tmp_path: Path
) -> None:
    eventually(lambda: sent.metric("earwitness_hub_events_archived_total") == EACH, 60, "ours is archived")
    eventually(
        lambda: sent.metric("earwitness_hub_messages_dead_lettered_total") == EACH, 60, "mine is dead-lettered"
    )
    assert archived(sent) == [("ours", "earwitness-small-u8/1")] * EACH
    assert "unknown feature space 'mine-u8/1'" in (tmp_path / "hub" / "log").read_text()
    assert not list((tmp_path / "clips").rglob("*.flac")), "the sound never left the sensor"


@pytest.mark.parametrize("hub", [True], indirect=True, ids=["configured"])
def test_a_configured_feature_space_is_archived_and_searched(sent: HubProcess) -> None:
    eventually(lambda: sent.metric("earwitness_hub_events_archived_total") == 2 * EACH, 60, "all is archived")
    assert sent.metric("earwitness_hub_messages_dead_lettered_total") == 0
    assert archived(sent) == [("mine", "mine-u8/1")] * EACH + [("ours", "earwitness-small-u8/1")] * EACH
    events = sent.get("/api/v1/events?limit=1&place=demo/mine")["events"]
    assert isinstance(events, list)
    matches = sent.get(f"/api/v1/events/{events[0]['id']}/similar?k=20")["matches"]
    assert isinstance(matches, list)
    assert [match["sensor"] for match in matches] == ["mine"] * (EACH - 1)
