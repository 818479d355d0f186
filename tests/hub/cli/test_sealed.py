"""Key pairs of inspectors, and opening sealed sound offline."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyrage
import pytest
from typer.testing import CliRunner, Result

from edge.sealing import Sealer, read_public_keys
from hub.cli import app
from shared.audio import encode_flac
from shared.errors import InvalidError
from shared.events import Flac
from shared.flac_tags import read_tags, with_tags
from shared.sealed_sound import SealedSound
from tests.factories import event
from tests.sealing import LOCKED, PASSPHRASE, key_pair

FLAC = encode_flac(np.linspace(-0.5, 0.5, 1_600).astype(np.float32), 16_000)
EVENT = event(7)


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["sealed", *words], input=typed)


def sealed(folder: Path, public: str, name: str = f"{EVENT.id}.age") -> Path:
    sound = Sealer([public]).seal(replace(EVENT, sound=Flac(FLAC))).sound
    assert isinstance(sound, SealedSound)
    (folder / name).write_bytes(sound.data)
    return folder / name


def private_key(folder: Path, content: str) -> str:
    (folder / "inspector.key").write_text(content)
    return str(folder / "inspector.key")


def test_a_created_key_pair_seals_and_opens(tmp_path: Path) -> None:
    key = tmp_path / "inspector.key"
    created: dict[str, Any] = json.loads(run("create-key", "--out", str(key), "--json").stdout)
    assert created["private_key_file"] == str(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    file = sealed(tmp_path, created["public_key"])
    opened = run("open", str(file), "--key", str(key))
    assert (opened.exit_code, str(EVENT.id) in opened.stdout) == (0, True)
    flac = (tmp_path / f"{EVENT.id}.flac").read_bytes()
    assert with_tags(flac, {}) == with_tags(FLAC, {})
    assert read_tags(flac) == {"TITLE": str(EVENT.id), "DATE": EVENT.captured_at.isoformat()}


def test_a_created_key_is_explained(tmp_path: Path) -> None:
    key = tmp_path / "inspector.key"
    printed = run("create-key", "--out", str(key)).stdout
    public = next(line.removeprefix("# public key: ") for line in key.read_text().splitlines() if "age1" in line)
    assert f'[privacy]\nsealed_to = "{public}"' in printed
    assert "keep a copy in another place" in printed
    assert "AGE-SECRET-KEY" not in printed
    with pytest.raises(InvalidError, match="private key"):
        read_public_keys(str(key))


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    key = private_key(tmp_path, "the only key")
    refused = run("create-key", "--out", key)
    assert (refused.exit_code, "exists" in refused.stderr) == (2, True)
    assert Path(key).read_text() == "the only key"


def test_a_key_with_a_passphrase_is_asked_for_it(tmp_path: Path) -> None:
    key, file = private_key(tmp_path, LOCKED.private), sealed(tmp_path, LOCKED.public)
    opened = run("open", str(file), "--key", key, "--out", str(tmp_path / "out"), "--json", typed=f"{PASSPHRASE}\n")
    assert opened.exit_code == 0
    assert json.loads(opened.stdout)["files"][0]["flac"] == str(tmp_path / "out" / f"{EVENT.id}.flac")
    wrong = run("open", str(file), "--key", key, typed="avenue\n")
    assert (wrong.exit_code, "the passphrase is wrong" in wrong.stderr) == (2, True)


def test_a_wrong_key_and_damage_are_reported_and_the_other_files_are_opened(tmp_path: Path) -> None:
    own, other = key_pair(), key_pair()
    key = private_key(tmp_path, own.private)
    files = [
        sealed(tmp_path, other.public, "demo.other.b.1.age"),
        sealed(tmp_path, own.public, "demo.moved.b.2.age"),
        sealed(tmp_path, own.public, "damaged.age"),
        sealed(tmp_path, own.public, "renamed.age"),
    ]
    files[2].write_bytes(files[2].read_bytes()[:-1])
    done = run("open", *map(str, files), "--key", key, "--json")
    results = json.loads(done.stdout)["files"]
    assert done.exit_code == 1
    assert "sealed to another key" in results[0]["error"]
    assert f"sound of another event: {EVENT.id}" in results[1]["error"]
    assert "damaged" in results[2]["error"]
    assert results[3]["event"] == str(EVENT.id)
    assert [path.name for path in tmp_path.glob("*.flac")] == [f"{EVENT.id}.flac"]


def test_tags_of_a_stranger_name_no_file(tmp_path: Path) -> None:
    own = key_pair()
    key = private_key(tmp_path, own.private)
    recipient = pyrage.x25519.Recipient.from_str(own.public)
    file = tmp_path / "in" / "sound.age"
    file.parent.mkdir()
    file.write_bytes(pyrage.encrypt(with_tags(FLAC, {"TITLE": "../escaped"}), [recipient]))
    opened = run("open", str(file), "--key", key)
    assert (opened.exit_code, "event unknown" in opened.stdout) == (0, True)
    assert [path.name for path in tmp_path.rglob("*.flac")] == ["sound.flac"]
    file.write_bytes(pyrage.encrypt(b"no sound", [recipient]))
    assert "not a FLAC stream" in run("open", str(file), "--key", key).stderr


@pytest.mark.parametrize("content", ["", "# a comment\n", "AGE-SECRET-KEY-1\n", "age1 public\n", "x" * 70_000])
def test_what_is_no_private_key_is_rejected(tmp_path: Path, content: str) -> None:
    refused = run("open", str(sealed(tmp_path, LOCKED.public)), "--key", private_key(tmp_path, content))
    assert refused.exit_code == 2
    assert "inspector.key" in refused.stderr
