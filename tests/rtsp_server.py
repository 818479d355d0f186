"""An RTSP server with a password that sends one sound, as a camera does, and then ends or goes silent.

Source: RFC 2326 (RTSP), 10.12 for RTP on the RTSP connection; RFC 3550 (RTP); RFC 3551, 4.5.11 (L16).
"""

import base64
import re
import socketserver
import struct
import threading
from typing import Final, Self

import numpy as np

from shared.audio import Waveform

USER: Final = "camera"
PASSWORD: Final = "opensesame"  # noqa: S105 - of this server alone
PACKET: Final = 400
"""Samples of a packet."""
_BASIC: Final = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class RtspServer:
    """Send a sound to each client at once, not in real time.

    Args:
        sound: mono, float32 [samples], full scale = 1.0.
        rate_hz: its sample rate in Hz.
        silent: keep the connection after the sound, without sending more, until the client ends it.
    """

    def __init__(self, sound: Waveform, rate_hz: int, *, silent: bool = False) -> None:
        self._samples = np.round(sound * 32_767.0).astype(">i2")
        self._rate_hz = rate_hz
        self.silent = silent
        outer = self

        class _Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.answer(self)

        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.port = int(self._server.server_address[1])
        self.clients = 0

    def url(self, password: str = PASSWORD) -> str:
        """The address of the stream."""
        return f"rtsp://{USER}:{password}@127.0.0.1:{self.port}/street?token=s3cr3t"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, connection: socketserver.StreamRequestHandler) -> None:
        """Answer requests until the client plays the stream; then send it."""
        while request := self._request(connection):
            method, sequence, allowed = request
            if method == "TEARDOWN":
                return
            fields, body, status = {"CSeq": sequence, "Session": "1"}, "", "200 OK"
            if not allowed and method != "OPTIONS":
                fields["WWW-Authenticate"], status = 'Basic realm="camera"', "401 Unauthorized"
            elif method == "DESCRIBE":
                body = self._description()
                fields |= {"Content-Type": "application/sdp", "Content-Length": str(len(body))}
            elif method == "SETUP":
                fields["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
            elif method == "OPTIONS":
                fields["Public"] = "DESCRIBE, SETUP, PLAY, TEARDOWN"
            lines = [f"RTSP/1.0 {status}", *(f"{name}: {value}" for name, value in fields.items())]
            connection.wfile.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            if allowed and method == "PLAY":
                self._play(connection)
                return

    def _request(self, connection: socketserver.StreamRequestHandler) -> tuple[str, str, bool] | None:
        """The method, the CSeq and whether the password is right; None at the end."""
        head = ""
        while (line := connection.rfile.readline().decode()) not in {"", "\r\n"}:
            head += line
        found = re.search(r"^CSeq: (\d+)", head, re.MULTILINE)
        return (head.split(" ")[0], found[1], f"Authorization: Basic {_BASIC}" in head) if found else None

    def _description(self) -> str:
        lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=street", "c=IN IP4 127.0.0.1", "t=0 0"]
        lines += ["m=audio 0 RTP/AVP 96", f"a=rtpmap:96 L16/{self._rate_hz}/1", "a=control:track1"]
        return "\r\n".join(lines) + "\r\n"

    def _play(self, connection: socketserver.StreamRequestHandler) -> None:
        self.clients += 1
        for number in range(0, self._samples.size, PACKET):
            part = self._samples[number : number + PACKET].tobytes()
            packet = struct.pack(">BBHII", 0x80, 96, number // PACKET & 0xFFFF, number, 7) + part
            connection.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
        while self.silent and connection.rfile.read(1):
            pass


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
