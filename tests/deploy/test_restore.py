"""The store's backup and restore, by the commands that docs/deploy.md gives."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hub.app.factory import build_event_store
from hub.settings import HubSettings
from shared.settings import load_settings
from tests.deployment import CreatedDeployment, FoundedStore
from tests.factories import alert, stored
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import accepts, eventually

pytestmark = pytest.mark.e2e

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
DRILL = 'redis-server --port 6390 --dir COPY --appendonly yes --aclfile "$PWD/noise/redis/users.acl"'


def rewriting(percentage: int, port: int, folder: Path) -> None:
    """Configure the store as on the page when its log may be rewritten."""
    pattern = rf"^# (redis-cli .* config set auto-aof-rewrite-percentage {percentage})$"
    (command,) = re.findall(pattern, DOCUMENTED, re.MULTILINE)
    command = command.replace("redis-cli", f"redis-cli -p {port}", 1)
    ran = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "OK", ran.stdout


def test_what_was_backed_up_while_the_store_ran_is_there_on_another(tmp_path: Path) -> None:
    program("redis-cli")
    founded, port = CreatedDeployment(tmp_path / "noise"), free_port()
    store = FoundedStore(tmp_path / "store", founded)
    store.start()
    try:
        archive = build_event_store(load_settings(HubSettings, founded.hub_toml, []))
        events = [stored(seq) for seq in range(20)]
        archive.add_many(events)
        archive.mark_processed([(event.id, alert(str(event.id))) for event in events])
        eventually(archive.has_append_only_file, 20, "the store keeps a log")
        rewriting(0, founded.ports["redis"], tmp_path)
        shutil.copytree(founded.folder / "data" / "redis" / "appendonlydir", tmp_path / "copy" / "appendonlydir")
        rewriting(100, founded.ports["redis"], tmp_path)
        archive.add_many([stored(20)])
        archive.close()
    finally:
        store.stop()
    assert DRILL in DOCUMENTED
    command = f"exec {DRILL}".replace("6390", str(port)).replace("COPY", "copy")
    with (tmp_path / "log").open("wb") as log:
        copy = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stdout=log, stderr=log)
    try:
        eventually(lambda: accepts(port), 20, f"the copy answers; see {tmp_path / 'log'}")
        url = load_settings(HubSettings, founded.hub_toml, []).redis.url.get_secret_value()
        there = url.replace(f":{founded.ports['redis']}/", f":{port}/")
        restored = build_event_store(load_settings(HubSettings, founded.hub_toml, [f"redis.url={there}"]))
        eventually(lambda: restored.count() == 20, 20, "what was backed up is there, and what came later is not")
        assert restored.alerts.count() == 20
        restored.close()
    finally:
        copy.terminate()
        copy.wait(20)
