"""Web server: uvicorn in its own thread."""

import threading
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from shared.errors import UnavailableError
from shared.sockets import listeners


class Server:
    """Runs uvicorn in its own thread, on sockets that the constructor binds, so that it can raise an error.

    Args:
        app: the application to serve.
        host: address or name to bind; a name binds all its addresses.
        port: port to bind.
        trusted_proxies: addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count.

    Raises:
        UnavailableError: host and port cannot be bound.
    """

    def __init__(self, app: FastAPI, host: str, port: int, trusted_proxies: Sequence[str] = ()) -> None:
        try:
            sockets = listeners(host, port)
        except OSError as error:
            raise UnavailableError(f"cannot serve on web.host {host}, web.port {port}: {error.strerror}") from error
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=3,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
            )
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": sockets}, name="web", daemon=True)

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Finish open requests and stop."""
        self._server.should_exit = True
        self._thread.join(timeout=5.0)
