"""What the servers of tests and faults share: a port on loopback, and a thread that serves it."""

import threading
from http.server import HTTPServer
from typing import TypeVar

HOST = "127.0.0.1"
Self = TypeVar("Self", bound="OnLoopback")


class OnLoopback:
    """Serves on a thread of its own, as a context manager.

    Args:
        server: Bound already, and not serving yet.
    """

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,))

    @property
    def base_url(self) -> str:
        """Address without a slash at the end."""
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self: Self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
