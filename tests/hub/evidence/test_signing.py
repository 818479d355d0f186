"""The key that signs evidence reports."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hub.evidence.signing import PublicKey, SigningKey
from shared.errors import InvalidError, UnavailableError


def test_the_key_is_created_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "evidence.key"
    with ThreadPoolExecutor(4) as pool:
        keys = {one.public.fingerprint for one in pool.map(lambda _: SigningKey.open(path), range(8))}
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["evidence.key"]


def test_a_signature_is_of_the_data_and_the_key(tmp_path: Path) -> None:
    key, other = SigningKey.open(tmp_path / "a"), SigningKey.open(tmp_path / "b")
    signature = key.sign(b"data")
    public = PublicKey.from_pem(key.public.pem, "a.pem")
    assert public.signed(b"data", signature)
    assert not public.signed(b"date", signature)
    assert not public.signed(b"data", signature[:-1])
    assert not other.public.signed(b"data", signature)


def test_a_key_that_cannot_be_used_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "evidence.key"
    SigningKey.open(path)
    path.chmod(0o640)
    with pytest.raises(InvalidError, match="chmod 600"):
        SigningKey.open(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(InvalidError, match="restore it from a copy"):
        SigningKey.open(path)
    curve = generate_private_key(SECP256R1())
    path.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InvalidError, match="no Ed25519 key"):
        SigningKey.open(path)
    with pytest.raises(InvalidError, match="no Ed25519 key"):
        PublicKey.from_pem(curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "x")
    with pytest.raises(UnavailableError, match=r"evidence\.signing_key"):
        SigningKey.open(path / "below" / "a" / "file")
