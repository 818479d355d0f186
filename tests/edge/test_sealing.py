"""A sensor that seals: ciphertext on its disk, bound to the event, opened by the private key alone."""

from pathlib import Path

import numpy as np
import pytest

from edge.commands.rules import locked
from edge.diagnostics import run_checks
from edge.sealing import Sealer, read_public_keys
from edge.settings import EdgeSettings
from hub.deployment.inspector_key import InspectorKey
from shared.audio import decode_flac, encode_flac
from shared.errors import InvalidError, UnavailableError
from shared.events import Embedding, Event, Flac
from shared.messages.event import decode_event
from shared.sealed_sound import SealedSound
from shared.settings import load_settings
from tests.edge.test_privacy import Street, captured, on_disk
from tests.factories import event
from tests.sealing import key_pair

KEYS = key_pair()
FLAC = Flac(encode_flac(np.random.default_rng(0).uniform(-0.5, 0.5, 1_600).astype(np.float32), 16_000))


@pytest.fixture
def inspector(tmp_path_factory: pytest.TempPathFactory) -> InspectorKey:
    path = tmp_path_factory.mktemp("inspector") / "inspector.key"
    path.write_text(KEYS.private)
    return InspectorKey(path)


def events_of(tmp_path: Path, *overrides: str, clips: int) -> list[Event]:
    _, spool = captured(tmp_path, f"privacy.sealed_to={KEYS.public}", *overrides, clips=clips)
    events = [decode_event(entry.payload) for entry in spool.peek(20, levels=False)]
    spool.close()
    return events


def test_the_spool_holds_embeddings_and_ciphertext_and_no_sound(tmp_path: Path, inspector: InspectorKey) -> None:
    events = events_of(tmp_path, clips=2)
    disk = on_disk(tmp_path)
    assert b"fLaC" not in disk
    assert b"age-encryption.org/v1" in disk
    for clip, sent in zip(Street(2)._clips, events, strict=True):
        assert isinstance(sent.body, Embedding)
        assert isinstance(sent.sound, SealedSound)
        assert sent.sound.keys == (KEYS.public,)
        opened = inspector.decrypt(sent.sound.data, "the clip")
        assert (opened.event, opened.captured_at) == (str(sent.id), sent.captured_at.isoformat())
        assert np.allclose(decode_flac(opened.flac)[0], clip.waveform.clip(-1, 1), atol=2**-15)


def test_sound_names_the_number_under_which_its_event_is_sent(tmp_path: Path, inspector: InspectorKey) -> None:
    events = events_of(tmp_path, "send.what=events", "send.pre_roll_clips=0", "send.hold_clips=0", clips=6)
    named = [inspector.decrypt(sent.sound.data, "it").event for sent in events if isinstance(sent.sound, SealedSound)]
    assert named == [str(sent.id) for sent in events]
    assert [sent.id.seq for sent in events] == [0, 1]


def test_a_budget_leaves_out_sealed_sound(tmp_path: Path) -> None:
    events = events_of(tmp_path, "send.max_bytes_per_hour=10000", clips=1)
    assert [sent.sound for sent in events] == [None]


def test_in_the_mode_levels_a_sensor_with_a_key_sends_the_series_alone(tmp_path: Path) -> None:
    _, spool = captured(tmp_path, f"privacy.sealed_to={KEYS.public}", "send.what=levels", clips=1)
    assert {entry.has_levels for entry in spool.peek(20)} == {True}
    spool.close()


def test_any_of_several_keys_opens_the_sound(tmp_path: Path) -> None:
    others = [key_pair() for _ in range(2)]
    sealed = Sealer([pair.public for pair in others]).seal(_with_sound()).sound
    assert isinstance(sealed, SealedSound)
    for number, pair in enumerate(others):
        path = tmp_path / f"{number}.key"
        path.write_text(pair.private)
        assert InspectorKey(path).decrypt(sealed.data, "it").event == str(event().id)


def test_equal_sound_is_sealed_differently_each_time() -> None:
    sealer = Sealer([KEYS.public])
    assert sealer.seal(_with_sound()).sound != sealer.seal(_with_sound()).sound


def test_sound_that_the_hub_would_have_to_embed_is_not_sealed() -> None:
    sealer = Sealer([KEYS.public])
    with pytest.raises(InvalidError, match="next to an embedding"):
        sealer.seal(_body_of_sound())
    assert sealer.seal(event()) == event()


def test_public_keys_come_from_a_file_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the inspector\n{KEYS.public}\n\n")
    assert read_public_keys(str(path)) == [KEYS.public]
    with pytest.raises(UnavailableError, match="missing"):
        read_public_keys(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    "keys", [[], ["age1x"], [KEYS.public[:-1] + ("p" if KEYS.public.endswith("q") else "q")], [KEYS.public] * 9]
)
def test_invalid_public_keys_are_named_with_what_to_do(keys: list[str]) -> None:
    with pytest.raises(InvalidError, match=r"privacy\.sealed_to.*sealed create-key"):
        Sealer(keys)


def test_a_private_key_on_the_sensor_is_refused_and_not_printed(tmp_path: Path) -> None:
    secret = KEYS.private.splitlines()[-1]
    path = tmp_path / "inspector.key"
    path.write_text(KEYS.private)
    for given in (secret, str(path)):
        with pytest.raises(InvalidError, match="has a private key") as raised:
            read_public_keys(given)
        assert secret not in str(raised.value)


def test_the_start_and_check_refuse_an_invalid_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="invalid public key"):
        captured(tmp_path, "privacy.sealed_to=age1x", clips=1)
    assert "invalid public key" in _checked("age1x", tmp_path)
    assert f"sealed to {KEYS.public}" in _checked(KEYS.public, tmp_path)


def test_hubs_may_not_change_the_keys() -> None:
    assert "protects people" in (locked("privacy.sealed_to") or "")


def _with_sound() -> Event:
    one = event()
    return Event(one.id, one.captured_at, one.duration_s, one.rate_hz, one.levels, one.body, sound=FLAC)


def _body_of_sound() -> Event:
    one = event()
    return Event(one.id, one.captured_at, one.duration_s, one.rate_hz, one.levels, FLAC)


def _checked(key: str, tmp_path: Path) -> str:
    settings = load_settings(EdgeSettings, None, [f"privacy.sealed_to={key}", f"spool.path={tmp_path / 'c.db'}"])
    return next(result.words for result in run_checks(settings) if result.what == "features")
