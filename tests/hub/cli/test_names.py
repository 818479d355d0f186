"""The commands on named sounds, with a real store."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.model.checkpoint import default_checkpoint, load, save
from hub.store.events import EventStore
from shared.feature_space import VGGISH
from tests.hub.alerting.test_name_matching import CLIPS, Hub, id_of
from tests.named import with_identity

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "vggish.safetensors"
    save(path, with_identity(load(default_checkpoint(VGGISH.id)), CLIPS))
    return str(path)


@pytest.fixture
def run(archive: EventStore, store_url: str, checkpoint: str) -> Any:
    hub = Hub(archive)
    for seq in range(3):
        hub.receive(seq, source=seq, after_s=10.0 * seq)

    def line(*words: str, exit_code: int = 0) -> Any:
        overrides = ["--set", f"redis.url={store_url}", "--set", f'model.checkpoints=["{checkpoint}"]']
        done = CliRunner().invoke(app, ["names", *words, *overrides])
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout) if "--json" in words else done.output

    line.hub = hub  # type: ignore[attr-defined]
    return line


def test_a_sound_is_named_watched_muted_and_removed(run: Any) -> None:
    made = run("add", "bakery fan", "--event", id_of(0), "--event", id_of(1), "--by", "Ada", "--json")
    assert (made["name"], made["site"], made["mode"], made["author"]) == ("bakery fan", "demo", "shown", "Ada")
    assert made["examples"] == [id_of(0), id_of(1)]
    watched = run("watch", "BAKERY fan", "--threshold", "0.7", "--severity", "urgent", "--json")
    assert (watched["mode"], watched["threshold"], watched["severity"]) == ("watched", 0.7, "urgent")
    alert = run.hub.receive(7, 1, 4_000.0)
    assert alert is not None
    (listed,) = run("list", "--json")
    assert listed == watched | {
        "times": 1,
        "clips": 1,
        "last_detected_at": listed["last_detected_at"],
        "last_place": "demo/street-1",
        "last_event": id_of(7),
        "last_alert": id_of(7),
    }
    assert "bakery fan" in run("list")
    assert run("list", "--site", "elsewhere", "--json") == []
    assert run("mute", made["id"], "--json")["mode"] == "muted"
    assert run("mute", made["id"], "--off", "--json")["mode"] == "shown"
    assert run("watch", made["id"], "--off", "--json")["threshold"] == 0.7
    assert "removed: bakery fan" in run("remove", "bakery fan")
    assert run("list", "--json") == []
    assert "no named sounds yet" in run("list")


def test_what_is_wrong_is_stated_in_one_line(run: Any) -> None:
    run("add", "bakery fan", "--event", id_of(0), "--mute", "--all-sites")
    assert "is the name of another sound" in run("add", "Bakery Fan", "--event", id_of(1), exit_code=2)
    assert "give either --watch or --mute" in run("add", "x", "--event", id_of(1), "--watch", "--mute", exit_code=2)
    assert "no event demo.street-1.boot.99" in run("add", "x", "--event", id_of(99), exit_code=2)
    assert "--event, at most five times, or --source" in run("add", "x", exit_code=2)
    assert "no source 0123456789" in run("add", "x", "--source", "0123456789", exit_code=2)
    assert "1 to 60 printable characters" in run("add", "  ", "--event", id_of(1), exit_code=2)
    assert "no sound has the name or id 'door'" in run("watch", "door", exit_code=2)
