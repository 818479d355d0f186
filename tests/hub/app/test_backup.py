"""Backup, wipe, restore: everything is as it was, by the commands, on a real store."""

import json
import runpy
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from typer.testing import CliRunner

from hub.cli import app
from hub.features.logmel import LogMel
from hub.ingest.pipeline import Recognition
from hub.runtime.embedded_servers import Servers
from hub.search.backend import Exclusion
from hub.search.follower import build_index
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings, RedisSettings, StoreSettings
from hub.store import keys
from hub.store.accounts_file import AccountsFile
from hub.store.audio_files import AudioFileStore
from hub.store.audit_log import AuditLog
from hub.store.events import EventStore
from hub.store.levels import LevelStore
from hub.store.schema import SCHEMA, Migration, migrate
from hub.store.stores import Stores
from shared.audio import encode_flac
from shared.errors import InvalidError
from shared.events import Flac
from shared.level_series import LevelSeries
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.accounts import accounts
from tests.factories import NOON, event, stored
from tests.hub.store.backup.test_values import content
from tests.pipelines import SCORERS, pipeline_of

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
RATE_HZ = 16_000
QUESTIONS = ("events", "alerts", "episodes", "names", "sources", "feedback", "sensors")
LEFT_OUT = (keys.ASKED, keys.SYNCED, keys.SCHEMA, keys.CHANGES, keys.AUDIT)


class Place:
    """A hub's store, sound and users, with the commands on them."""

    def __init__(self, url: str, folder: Path, *overrides: str) -> None:
        self.archive = EventStore(url)
        self.folder = folder
        self._url = url
        self._overrides = overrides

    @property
    def settings(self) -> HubSettings:
        return HubSettings(
            redis=RedisSettings(url=SecretStr(self._url)), store=StoreSettings(audio_dir=self.folder / "clips")
        )

    def run(self, *words: str, exit_code: int = 0) -> Any:
        folders = (f"store.audio_dir={self.folder}/clips", f"web.users_file={self.folder}/users.json")
        overrides = (f"redis.url={self._url}", *folders, *self._overrides)
        options = [part for one in overrides for part in ("--set", one)]
        done = CliRunner().invoke(app, [*words, *options])
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout) if "--json" in words else done.output

    def answers(self) -> dict[str, Any]:
        """What the API answers, and which events are similar to one."""
        made = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](self.settings)
        client = TestClient(made, base_url="http://127.0.0.1")
        found = {name: client.get(f"/api/v1/{name}").json() for name in QUESTIONS}
        retrieval = Retrieval(SCORERS)
        build_index(self.archive, retrieval)
        (newest,) = self.archive.events(limit=1)
        matches = retrieval.similar(newest, 5, Exclusion(frozenset({str(newest.id)})))
        return found | {"similar": [(one.event, one.rank) for one in matches]}

    def everything(self) -> tuple[dict[bytes, Any], dict[str, bytes], str]:
        """All keys but those that a backup leaves out, all sound, and the users."""
        rows = content(self.archive.client)
        sound = self.folder / "clips"
        return (
            {key: value for key, value in rows.items() if key.decode() not in LEFT_OUT},
            {str(path.relative_to(sound)): path.read_bytes() for path in sorted(sound.rglob("*.*"))},
            (self.folder / "users.json").read_text(),
        )

    def position(self) -> Any:
        """The last position of the stream of changes."""
        return self.archive.client.xinfo_stream(keys.CHANGES)["last-generated-id"]

    def wipe(self) -> None:
        self.archive.client.flushdb()
        shutil.rmtree(self.folder)
        self.folder.mkdir()


def fill(place: Place) -> None:
    """Archive clips of two sensors with alerts, levels, a named sound, users and an entry of the audit log."""
    archive = place.archive
    stores = Stores.of(archive, AudioFileStore(place.folder / "clips"))
    now = NOON
    pipeline = pipeline_of(stores, lambda: now, recognition=Recognition(LogMel(), Retrieval(SCORERS)))
    for seq in range(6):
        noise = np.random.default_rng(seq % 2).normal(0, 0.1, RATE_HZ * 10).clip(-1, 1).astype(np.float32)
        sent = event(seq, sensor=f"street-{seq % 2}", after_s=600.0 * seq)
        sent = replace(sent, rate_hz=RATE_HZ, body=Flac(encode_flac(noise, RATE_HZ)))
        now = sent.captured_at + timedelta(seconds=11)
        pipeline.handle(str(SensorTopic("demo", sent.id.sensor, "event")), encode_event(sent))
    stores.names.add("fan", ["demo.street-0.boot.0"], now_ms=1)
    tenths = np.full((90, 3), 600, dtype=np.int16)
    LevelStore(archive.client, archive.rows).add_many(
        [LevelSeries("demo", "street-0", "b", NOON, tenths, "dB")], NOON
    )
    AuditLog(archive.client, "hub-1", timedelta(days=9_999)).add("ines", "played", "a clip", "::1", NOON)
    accounts(place.folder / "users.json")
    migrate(archive)


@pytest.fixture(scope="module")
def place(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(embedded.redis_url, tmp_path_factory.mktemp("hub"))
    place.archive.client.flushdb()
    fill(place)
    yield place
    place.archive.client.flushdb()
    place.archive.close()


@pytest.fixture(scope="module")
def backup(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("backups") / "backup.tar"
    report = place.run("backup", str(file), "--verify", "--json")
    assert (report["verified"], report["sound_files"], report["users"]) == (True, 7, 1)
    assert report["bytes"] == file.stat().st_size
    return file


def test_after_wipe_and_restore_keys_sound_users_answers_and_search_are_the_same(place: Place, backup: Path) -> None:
    before, answers, position = place.everything(), place.answers(), place.position()
    assert len(answers["events"]["events"]) == 6
    assert len(answers["similar"]) == 5
    place.wipe()
    report = place.run("restore", str(backup), "--json")
    assert report["events"] == 6
    assert place.everything() == before
    assert place.answers() == answers
    assert place.position() == position
    entries = [(row[b"action"], row[b"what"]) for _, row in place.archive.client.xrange(keys.AUDIT)]
    assert [action for action, _ in entries] == [b"played", b"changed"], "the backup was noted after its moment"
    assert b"restore" in entries[-1][1]


def test_a_store_or_users_that_are_not_empty_stay_unless_they_are_to_be_replaced(place: Place, backup: Path) -> None:
    before = place.everything()
    place.archive.add(stored(99, sensor="street-9"))
    assert "not empty" in place.run("restore", str(backup), exit_code=2)
    assert place.archive.count() == 7
    place.run("restore", str(backup), "--replace")
    assert place.everything() == before
    place.archive.client.flushdb()
    assert "has users" in place.run("restore", str(backup), exit_code=2)
    place.run("restore", str(backup), "--replace")


def test_a_damaged_or_newer_backup_changes_nothing(place: Place, backup: Path, tmp_path: Path) -> None:
    before, whole = place.everything(), backup.read_bytes()
    other = tmp_path / "other.tar"
    for changed, text in (
        (whole[:-20_000], "damaged"),
        (whole.replace(b"street-0/2026-06-01", b"street-7/2026-06-01", 1), "damaged"),
        (whole.replace(b'"schema": 2', b'"schema": 9', 1), "has schema 9, this program knows schemas until 2"),
    ):
        other.write_bytes(changed)
        assert text in place.run("restore", str(other), "--replace", exit_code=2)
        assert text in place.run("restore", str(other), "--verify", exit_code=2)
    assert place.everything() == before


def test_a_backup_is_checked_without_a_store(place: Place, backup: Path) -> None:
    header = place.run("restore", str(backup), "--verify", "--json", "--set", "redis.url=redis://127.0.0.1:1/0")
    assert (header["schema"], header["hub"], header["sound_files"]) == (SCHEMA, "hub-1", 7)


def test_a_store_in_use_and_one_that_a_restore_did_not_finish_are_refused(place: Place, backup: Path) -> None:
    place.archive.full()  # as a hub asks
    assert "stop all its hubs" in place.run("restore", str(backup), "--replace", exit_code=2)
    place.archive.client.delete(keys.ASKED)
    place.archive.client.set(keys.RESTORING, "2026-06-01")
    with pytest.raises(InvalidError, match="repeat it with `earwitness-hub restore FILE --replace`"):
        migrate(place.archive)
    place.run("restore", str(backup), "--replace")
    assert migrate(place.archive) == []


def test_sound_and_users_need_a_place(place: Place, backup: Path) -> None:
    elsewhere = ("--set", f"redis.url={place.settings.redis.url.get_secret_value()}")
    done = CliRunner().invoke(app, ["restore", str(backup), "--replace", *elsewhere])
    assert (done.exit_code, "set store.audio_dir" in done.output) == (2, True)
    done = CliRunner().invoke(
        app, ["restore", str(backup), "--replace", *elsewhere, "--set", f"store.audio_dir={place.folder}/clips"]
    )
    assert (done.exit_code, "set web.users_file" in done.output) == (2, True)


def test_the_users_file_of_a_backup_is_a_users_file(place: Place) -> None:
    assert [user.name for user in AccountsFile(place.folder / "users.json").read().users] == ["ines"]


def _append(ran: list[int], to: int, _archive: EventStore) -> None:
    ran.append(to)


def test_migrations_run_once_in_their_order_and_a_newer_store_is_refused(place: Place) -> None:
    ran: list[int] = []
    steps = [Migration(to, "a step", partial(_append, ran, to)) for to in (2, 3, 4)]
    place.archive.client.delete(keys.SCHEMA)
    assert migrate(place.archive, steps[:2]) == [2, 3]
    assert migrate(place.archive, steps) == [4]
    assert migrate(place.archive, steps) == []
    assert ran == [2, 3, 4]
    with pytest.raises(InvalidError, match="the store has schema 4, this program knows schemas until 2"):
        migrate(place.archive)
    place.archive.client.set(keys.SCHEMA, "none")
    with pytest.raises(InvalidError, match="no schema version"):
        migrate(place.archive)
    place.archive.client.delete(keys.SCHEMA)
