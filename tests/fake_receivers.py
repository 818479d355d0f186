"""Receivers of notifications: an HTTP server that answers as a test wishes, an Alertmanager, a mail server."""

import email
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from hub.deployment.certificate_authority import Authority
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import HubProcess, Server, accepts


@dataclass(frozen=True)
class Posted:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What a receiver answers; if `hang` is given, only when that is set."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: threading.Event | None = None


class Receiver:
    """A webhook receiver on a loopback port.

    `answers` are given in turn, then `always`; `posted` holds every request, `taken` those that were answered 200.
    """

    def __init__(self, port: int = 0, tls: tuple[Path, Path] | None = None) -> None:
        self.posted: list[Posted] = []
        self.taken: list[Posted] = []
        self.answers: deque[Answer] = deque()
        self.always = Answer()
        self.hang_paths: dict[str, threading.Event] = {}  # until set, these paths get no answer
        self.before: Callable[[], None] | None = None  # done before an answer is given
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                posted = Posted(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                receiver.posted.append(posted)
                answer = receiver.answers.popleft() if receiver.answers else receiver.always
                if receiver.before is not None:
                    receiver.before()
                hang = answer.hang or receiver.hang_paths.get(self.path)
                if hang is not None:
                    hang.wait(60)
                if answer.status == 200:
                    receiver.taken.append(posted)
                try:
                    self.send_response(answer.status)
                    for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:  # the client is gone
                    pass

            do_GET = do_POST  # noqa: N815 - the library's name

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


@contextmanager
def receiving(port: int = 0, tls: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """A receiver for a while."""
    receiver = Receiver(port, tls)
    try:
        yield receiver
    finally:
        receiver.stop()


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """The certificate of an authority, a certificate of 127.0.0.1 that it issued, and the key of that one."""
    now = datetime.now(UTC)
    authority = Authority.create("receivers", now)
    issued = authority.issue("receiver", now, hosts=["127.0.0.1"])
    ca, cert, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    ca.write_bytes(authority.certificate_pair().certificate)
    cert.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    return ca, cert, key


class AlertmanagerProcess(Server):
    """Debian's Prometheus Alertmanager, without a receiver."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.executable = program("prometheus-alertmanager")

    def command(self) -> list[str]:
        config = self.folder / "alertmanager.yml"
        config.write_text("route:\n  receiver: none\nreceivers:\n- name: none\n")
        return [
            self.executable,
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]

    def ready(self) -> bool:
        return accepts(self.port)


class TellingHub(HubProcess):
    """A hub with a settings file, in which its notifiers are."""

    def __init__(self, folder: Path, mqtt_port: int, redis_url: str, *settings: str, config: Path) -> None:
        super().__init__(folder, mqtt_port, redis_url, *settings)
        self.config = config

    def command(self) -> list[str]:
        return [*super().command(), "--config", str(self.config)]


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())

    @property
    def port(self) -> int:
        return int(self._controller.port)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(email.message_from_bytes(content, EmailMessage, policy=default))
        return "250 kept"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()
