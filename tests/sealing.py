"""Key pairs for tests of sealed sound."""

from typing import Final, NamedTuple

import pyrage


class KeyPair(NamedTuple):
    """A public key, and the content of its private key file."""

    public: str
    private: str


def key_pair() -> KeyPair:
    identity = pyrage.x25519.Identity.generate()
    return KeyPair(str(identity.to_public()), f"# a key of a test\n{identity}\n")


PASSPHRASE: Final = "street"  # noqa: S105 - of a key that only tests use
LOCKED: Final = KeyPair(
    "age1u8cd5d3l8k2dcqqw8gatn25msynmasumaklmzhx2yt3k5ga0lcrqxdzt2m",
    """-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBKaDBWYnVENHh3eVZJVkFx
QWpPVkFnIDgKVzVHdFFUUEpHWlorOG5BQ2N0d2hHK2plelY4UXBPQmh0T2svTXgr
YmE0OAotLS0gcUFoSUNkdTMrV1Joc2dXUTZaWldwMlloU1JhVjdxd0VVbWlaR2hs
c1E3RQqim4sD8FUP8DAOjiZ6ox0hwNaqLEQshrvVxvH2ktZ2jaXm/Qd5b7k/qcxS
gVuHW78QBJ4Gt+HNJcI8g4wwKEzRWFZKFQTuPAS4McxLTeuOvbn7VEr4z0FlnYZ5
w4hCI4k7/KnL2wZx+pHUjq0sujvYWpflZcymXHpw0gXyvKY1zA==
-----END AGE ENCRYPTED FILE-----
""",
)
"""A key with the passphrase `PASSPHRASE`, by another implementation of the format, with scrypt's work factor 2^8."""
