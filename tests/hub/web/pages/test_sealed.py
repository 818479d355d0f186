"""Sealed sound from the sensor to the page: who holds what, and what a person with and without the key can do.

Two sensors record the same sound, the first one sealed, the second one in clear. A search for the sound finds it
wherever the second sensor left it. After the first one, it finds nothing.
"""

import base64
import csv
import io
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect

from edge.agent import Agent
from edge.sealing import Sealer
from edge.settings import EdgeSettings
from hub.deployment.inspector_key import InspectorKey
from shared.audio import decode_flac, encode_flac, read_file
from shared.events import Flac
from shared.messages.event import decode_event
from shared.mqtt.session import Connected, MqttSession, Received, Subscribed
from shared.sealed_sound import SealedSound
from shared.settings import load_settings
from tests.factories import event
from tests.running_hub import Demo
from tests.sealing import LOCKED, PASSPHRASE, KeyPair, key_pair
from tests.server_processes import eventually

pytestmark = pytest.mark.browser

RATE_HZ = 8_000
KEYS, OTHERS = key_pair(), key_pair()
PLAYING = """async (player) => {
  await player.play();
  while (!player.currentTime) await new Promise((next) => requestAnimationFrame(next));
}"""
RUN_BYTES = 24
"""A run of sound of this length is found nowhere by chance."""


class Broker:
    """All messages at the broker, as a client that may read everything receives them."""

    def __init__(self, demo: Demo) -> None:
        self._session = MqttSession(demo.broker.settings, "watcher")
        self._session.start()
        assert isinstance(self._session.signals.get(timeout=20), Connected)
        self._session.subscribe("#", qos=0)
        assert isinstance(self._session.signals.get(timeout=20), Subscribed)
        self.messages: list[tuple[str, bytes]] = []

    def receive(self, topic: str) -> bytes:
        """Receive messages until one on a topic; its payload."""
        while not self.messages or self.messages[-1][0] != topic:
            match self._session.signals.get(timeout=20):
                case Received(topic=found, payload=payload):
                    self.messages.append((found, payload))
        return self.messages[-1][1]

    def stop(self) -> None:
        self._session.stop()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one sensor's run left.

    Attributes:
        event: id of its event.
        payload: the event's message.
        found: places in which the sound was found.
        searched: places that were searched.
    """

    event: str
    payload: bytes
    found: frozenset[str]
    searched: frozenset[str]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of noise."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    soundfile.write(path, np.random.default_rng(24).normal(0, 0.1, 10 * RATE_HZ), RATE_HZ)
    return path


@pytest.fixture(scope="module")
def runs(sound: Path) -> list[bytes]:
    """Runs of the sound's samples and of its FLAC file."""
    waveform, rate_hz = read_file(sound)
    pcm, flac = np.round(waveform * 32_768).astype("<i2").tobytes(), encode_flac(waveform, rate_hz)
    return [data[at : at + RUN_BYTES] for data in (pcm, flac) for at in range(20_000, len(data), 30_011)]


@pytest.fixture(scope="module")
def evidence(
    web: Demo, sound: Path, runs: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Evidence]:
    """What a sensor that seals left, and after it what one that sends the sound in clear left."""
    keys = tmp_path_factory.mktemp("keys") / "public"
    keys.write_text(f"# the inspector, and the archive of the city\n{KEYS.public}\n{LOCKED.public}\n")
    broker = Broker(web)
    evidence = {}
    for sensor, setting in (("sealed", f"privacy.sealed_to={keys}"), ("clear", "features.with_sound=true")):
        disk = tmp_path_factory.mktemp(sensor)
        source = ("source.kind=files", f"source.path={sound.parent}", "source.speed=1e5", f"spool.path={disk}/s.db")
        place = ("sensor.site=sealing", f"sensor.name={sensor}", f"mqtt.port={web.broker.port}")
        Agent(load_settings(EdgeSettings, None, [*source, *place, setting])).run(threading.Event())
        payload = broker.receive(f"earwitness/v1/sealing/{sensor}/event")
        broker.receive(f"earwitness/v1/sealing/{sensor}/state")
        event_id = str(decode_event(payload).id)
        eventually(lambda: _is_archived(web, event_id), 20, "the event is archived")  # noqa: B023 - called at once
        places = {
            "broker": [data for _, data in broker.messages],
            "store": _dump(web),
            "sensor's disk": _files(disk),
            "hub's disk": _files(web.hub.folder.parent),
        }
        found = {name for name, contents in places.items() if _holds(contents, runs)}
        evidence[sensor] = Evidence(event_id, payload, frozenset(found), frozenset(places))
    broker.stop()
    return evidence


def _is_archived(web: Demo, event_id: str) -> bool:
    return httpx.get(f"{web.url}/api/v1/events/{event_id}", timeout=30).status_code == 200


def _dump(web: Demo) -> list[bytes]:
    """The store's content, uncompressed, as it writes it to its disk."""
    web.archive.client.config_set("rdbcompression", "no")
    web.archive.client.save()
    dump = web.store.folder / "dump.rdb"
    content = dump.read_bytes()
    dump.unlink()
    assert b"ew:event:sealing.sealed." in content
    return [content]


def _files(folder: Path) -> Iterator[bytes]:
    """All files below a folder, also logs, journals and temporary files."""
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "dump.rdb")


def _holds(contents: Iterable[bytes], runs: list[bytes]) -> bool:
    return any(run in content for content in contents for run in runs)


@pytest.fixture
def requests() -> list[Request]:
    """What the browser sent."""
    return []


@pytest.fixture
def page(chromium: Browser, web: Demo, evidence: dict[str, Evidence], requests: list[Request]) -> Iterator[Page]:
    """The page of the sealed event; what the browser complains of fails the test."""
    context = chromium.new_context(base_url=web.url, viewport={"width": 390, "height": 844})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))

    def note(request: Request) -> None:
        requests.append(request)

    opened.on("request", note)
    opened.goto(f"/events/{evidence['sealed'].event}")
    yield opened
    context.close()
    assert not complaints


def choose(page: Page, pair: KeyPair) -> None:
    content = pair.private.encode()
    page.get_by_label("Private key").set_input_files({"name": "it.key", "mimeType": "", "buffer": content})
    page.get_by_role("button", name="Open the sound").click()


def test_broker_store_hub_and_disks_never_hold_sealed_sound_in_clear(evidence: dict[str, Evidence]) -> None:
    sealed, clear = evidence["sealed"], evidence["clear"]
    assert sealed.found == set()
    assert clear.found == {"broker", "sensor's disk", "hub's disk"}
    assert sealed.searched == clear.searched == {*clear.found, "store"}
    assert b"fLaC" not in sealed.payload
    assert b"fLaC" in clear.payload


def test_the_private_key_opens_what_was_sent_to_the_sample(evidence: dict[str, Evidence], tmp_path: Path) -> None:
    (tmp_path / "inspector.key").write_text(KEYS.private)
    sealed, clear = (decode_event(evidence[name].payload).sound for name in ("sealed", "clear"))
    assert isinstance(sealed, SealedSound)
    assert isinstance(clear, Flac)
    opened = InspectorKey(tmp_path / "inspector.key").decrypt(sealed.data, "it")
    assert opened.event == evidence["sealed"].event
    assert np.array_equal(decode_flac(opened.flac)[0], decode_flac(clear.data)[0])


def test_the_api_gives_the_ciphertext_and_names_the_keys(web: Demo, evidence: dict[str, Evidence]) -> None:
    sealed, clear = evidence["sealed"], evidence["clear"]
    url = f"{web.url}/api/v1/events/{sealed.event}"
    sent = decode_event(sealed.payload).sound
    assert isinstance(sent, SealedSound)
    given = httpx.get(f"{url}/sealed-audio", timeout=30)
    assert (given.content, given.headers["content-type"]) == (sent.data, "application/vnd.age")
    assert f'filename="{sealed.event}.age"' in given.headers["content-disposition"]
    refused = httpx.get(f"{url}/audio", timeout=30)
    assert (refused.status_code, f"sealed to {KEYS.public} and" in refused.json()["detail"]) == (404, True)
    assert httpx.get(f"{url}/spectrogram.png", timeout=30).headers["content-type"] == "image/png"
    view = httpx.get(url, timeout=30).json()
    assert (view["audio"], view["sealed_to"]) == (False, [KEYS.public, LOCKED.public])
    table = httpx.get(f"{web.url}/api/v1/export/events.csv?place=sealing/sealed", timeout=30).text
    row = next(csv.DictReader(io.StringIO(table, newline="")))
    assert (row["audio"], row["sealed_to"]) == ("False", f"{KEYS.public}; {LOCKED.public}")
    not_sealed = httpx.get(f"{web.url}/api/v1/events/{clear.event}/sealed-audio", timeout=30)
    assert (not_sealed.status_code, "is not sealed" in not_sealed.json()["detail"]) == (404, True)


def test_the_page_plays_the_sound_after_the_key_is_given(page: Page, requests: list[Request]) -> None:
    expect(page.get_by_text("so the hub has no spectrogram of it")).to_be_visible()
    expect(page.locator("audio")).to_be_hidden()
    expect(page.locator("canvas")).to_be_hidden()
    choose(page, KEYS)
    expect(page.get_by_text("Opened. The sensor recorded it at")).to_be_visible()
    player = page.locator("audio")
    expect(player).to_be_visible()
    player.evaluate(PLAYING)
    assert player.evaluate("player => player.duration") == pytest.approx(10.0, abs=0.01)
    secret = KEYS.private.splitlines()[-1]
    assert {request.method for request in requests} == {"GET"}
    assert not any(secret in request.url or secret in str(request.headers) for request in requests)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []


def test_the_page_draws_the_opened_sound_as_the_hub_draws_sound_in_clear(
    page: Page, web: Demo, evidence: dict[str, Evidence]
) -> None:
    choose(page, KEYS)
    canvas = page.get_by_role("img", name="Spectrogram: clip of sealing/sealed")
    expect(canvas).to_be_visible()
    by_browser = pixels(base64.b64decode(canvas.evaluate("c => c.toDataURL()").partition(",")[2]))
    by_hub = pixels(
        httpx.get(f"{web.url}/api/v1/events/{evidence['clear'].event}/spectrogram.png", timeout=30).content
    )
    assert by_browser.shape == by_hub.shape == (192, 800, 3)
    assert np.abs(by_browser - by_hub).mean() < 6
    for mirrored in (by_browser[::-1], by_browser[:, ::-1]):
        assert np.abs(mirrored - by_hub).mean() > 18


def pixels(png: bytes) -> npt.NDArray[np.int_]:
    """Colours of a picture, [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)


def test_a_key_with_a_passphrase_opens_the_sound_after_it_is_entered(page: Page) -> None:
    choose(page, LOCKED)
    expect(page.get_by_text("This key has a passphrase")).to_be_visible()
    page.get_by_label("Passphrase").fill("avenue")
    page.get_by_role("button", name="Open the sound").click()
    expect(page.get_by_text("The passphrase is wrong")).to_be_visible()
    page.get_by_label("Passphrase").fill(PASSPHRASE)
    page.get_by_role("button", name="Open the sound").click()
    expect(page.locator("audio")).to_be_visible()


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (OTHERS, "it is sealed to another key"),
        (KeyPair("", KEYS.public), "This file has no private key"),
        (KeyPair("", "\n"), "This file has no private key"),
    ],
)
def test_a_wrong_key_is_reported_and_plays_nothing(page: Page, pair: KeyPair, words: str) -> None:
    page.get_by_role("button", name="Open the sound").click()
    expect(page.get_by_text("Choose the file of the private key first")).to_be_visible()
    choose(page, pair)
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.locator("audio")).to_be_hidden()


def test_sound_of_another_event_is_reported_and_not_played(page: Page) -> None:
    flac = Flac(encode_flac(np.zeros(8_000, np.float32), RATE_HZ))
    other = Sealer([KEYS.public]).seal(replace(event(), sound=flac)).sound
    assert isinstance(other, SealedSound)
    body = other.data

    def swap(route: Route) -> None:
        route.fulfill(body=body, content_type="application/vnd.age")

    page.route("**/sealed-audio", swap)
    choose(page, KEYS)
    expect(page.get_by_text(f"not of this event, but of {event().id}")).to_be_visible()
    expect(page.locator("audio")).to_be_hidden()
