"""The additions to paho's client: what paho's own threads do to each other ends no call."""

import socket

import pytest

from shared.mqtt.paho_client import make_client
from shared.settings import MqttSettings

DISCONNECT = b"\xe0\x00"


@pytest.mark.parametrize("closed", ["other end", "own end"])
def test_a_packet_goes_out_though_the_network_thread_could_not_be_woken(closed: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = make_client(MqttSettings(port=server.getsockname()[1]), "some-client", None, 0)
        client.connect("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1000)[:1] == b"\x10", "CONNECT"
            other, client._sockpairW = socket.socketpair()  # as `loop_start` of another thread leaves them
            (other if closed == "other end" else client._sockpairW).close()
            client.disconnect()
            client.loop_write()
            assert peer.recv(1000) == DISCONNECT
        other.close()
        client._sockpairW.close()
