"""The web server: uvicorn in a thread of its own."""

import threading

import uvicorn
from fastapi import FastAPI

from shared.errors import UnavailableError
from shared.sockets import listeners


class Server:
    """uvicorn in a thread of its own, on sockets that are bound here, where a failure can still be told.

    Args:
        app: what is served.
        host: address or name to bind; of a name, all its addresses.
        port: port to bind.

    Raises:
        Unavailable: they cannot be bound.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        try:
            sockets = listeners(host, port)
        except OSError as error:
            raise UnavailableError(f"cannot serve on web.host {host}, web.port {port}: {error.strerror}") from error
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3)
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": sockets}, name="web", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Finish open requests and end."""
        self._server.should_exit = True
        self._thread.join(timeout=5.0)
