import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web.allowed_hosts import answered, own_names

NAMES = own_names("noise.lan", "https://Noise.Example.org/wall", ("hub", "Other."))
MACHINE = socket.gethostname()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[::1]",
        "192.168.7.20:8080",
        "10.0.0.7",
        "noise.lan:8080",
        "noise.example.org",
        "noise.example.org:443",
        "NOISE.example.org.",
        "hub:8080",
        "other",
        MACHINE,
        f"{MACHINE.partition('.')[0]}.local:8080",
        "a.localhost:8080",
        "",
        None,
    ],
)
def test_its_own_names_and_every_address_are_answered(host: str | None) -> None:
    assert answered(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "noise.example.org.evil.example",
        "127.0.0.1.nip.io",
        "notlocalhost",
        "hub@evil.example",
        "evil.example/localhost",
        "localhost:80:80",
        "[::1].evil",
        "a b",
        "[",
        "::1:x",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not answered(host, NAMES)


@given(st.text(max_size=60))
def test_what_no_browser_sends_raises_nothing(host: str) -> None:
    assert answered(host, NAMES) in {True, False}
    assert answered(host, own_names("127.0.0.1", "http://127.0.0.1:8080", ["*"]))
