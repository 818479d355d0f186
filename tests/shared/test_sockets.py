import socket

import pytest

from shared.sockets import in_url, listeners, plain_host


def reached(family: socket.AddressFamily, address: str, port: int) -> bool:
    with socket.socket(family) as client:
        client.settimeout(5)
        try:
            client.connect((address, port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("host", "four", "six"),
    [("127.0.0.1", True, False), ("::1", False, True), ("::", True, True), ("0.0.0.0", True, False)],  # noqa: S104
)
def test_an_address_of_either_family_is_listened_on(host: str, four: bool, six: bool) -> None:
    opened = listeners(host, 0)
    port = int(opened[0].getsockname()[1])
    try:
        assert reached(socket.AF_INET, "127.0.0.1", port) == four
        assert reached(socket.AF_INET6, "::1", port) == six
    finally:
        for one in opened:
            one.close()


def test_a_name_is_listened_on_at_all_its_addresses() -> None:
    expected = {row[4][0] for row in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    opened = listeners("localhost", 0)
    try:
        assert {one.getsockname()[0] for one in opened} == expected
        assert len({one.getsockname()[1] for one in opened}) == 1
    finally:
        for one in opened:
            one.close()


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "[::1]", "192.0.2.1"])
def test_what_cannot_be_listened_on_is_reported_as_that(host: str) -> None:
    with pytest.raises((OSError, UnicodeError)):
        listeners(host, 0)


def test_brackets_belong_to_addresses_in_urls() -> None:
    assert [plain_host(host) for host in ("[::1]", "::1", "hub")] == ["::1", "::1", "hub"]
    assert [in_url(host) for host in ("::1", "127.0.0.1", "hub")] == ["[::1]", "127.0.0.1", "hub"]


def test_accepted_connections_send_at_once() -> None:
    (listener,) = listeners("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
