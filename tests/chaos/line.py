"""A TCP line that can be cut, delayed and half-opened: it stands between sensors and their broker."""

import contextlib
import select
import socket
import threading
import time

from tests.ports import free_port

_LOOK_EVERY_S = 0.1
_CHUNK = 65_536


class Line:
    """Forwards every connection on `port` to a loopback port, until changed.

    Args:
        target: port that connections are forwarded to.

    Attributes:
        port: where to connect to.
        delay_s: how long each chunk of bytes is held back.
        half_open: whether connections stay open while nothing passes, as behind a NAT that forgot them.
        refused: whether new connections are closed at once.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay_s = 0.0
        self.half_open = False
        self.refused = False
        self._target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(_LOOK_EVERY_S)
        self._thread = threading.Thread(target=self._accept, name="line", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End all connections, each side by a reset."""
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """End all connections and listen no more."""
        self._stopping.set()
        self.cut()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                if self.refused:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        """Move bytes both ways until one side ends; then end the other."""
        other = {near: far, far: near}
        with self._lock:
            self._open |= {near, far}
        try:
            while not self._stopping.is_set():
                ready, _, _ = select.select([] if self.half_open else [near, far], [], [], _LOOK_EVERY_S)
                for end in ready:
                    data = end.recv(_CHUNK)
                    if not data:
                        return
                    if self.delay_s:
                        time.sleep(self.delay_s)
                    other[end].sendall(data)
                if not ready and self.half_open:
                    time.sleep(_LOOK_EVERY_S)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open -= {near, far}
            near.close()
            far.close()
