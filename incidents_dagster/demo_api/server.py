"""The demo API as a real HTTP server, on a thread of this process.

It listens on loopback only, and ends with the process. `app` decides what it responds.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import uvicorn

from incidents_dagster.demo_api.app import Faults, SeenRequest, create_app
from incidents_dagster.demo_api.stories import incidents_at

HOST = "127.0.0.1"


class DemoServer:
    """An incident API on loopback, as a context manager or with `start()` and `stop()`.

    It accepts requests as soon as `start()` returns. A stopped server can be started again and
    comes back on the same port.

    Attributes:
        api_key: The key that requests must carry.
        port: The port, final once the server has started.
        faults: Switches of the responses; change them in place.
        requests: The requests so far, without their keys.
    """

    def __init__(
        self,
        incidents: Callable[[], list[dict[str, Any]]] | None = None,
        api_key: str | None = None,
        port: int = 0,
    ) -> None:
        """Prepare a server; nothing listens yet.

        Args:
            incidents: Returns all rows whenever a page is requested, without blocking. Default:
                the incidents that exist at that moment (`stories.incidents_at`).
            api_key: Default, also for an empty text: a random one.
            port: Default: any free one.
        """
        self.api_key = api_key or secrets.token_urlsafe()
        self.port = port
        self.faults = Faults()
        self.requests: list[SeenRequest] = []
        self._app = create_app(
            self.api_key, incidents or _incidents_now, self.faults, self.requests
        )
        self._running: tuple[uvicorn.Server, threading.Thread] | None = None

    @property
    def base_url(self) -> str:
        """Address without a slash at the end, final once the server has started."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Listen and respond; idempotent.

        Raises:
            OSError: The port is taken.
        """
        if self._running:
            return
        # The kernel queues connections from here on, so nobody has to wait for the thread.
        listener = socket.create_server((HOST, self.port))
        self.port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                # The host process keeps its own logging configuration.
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                # The same behaviour whichever optional accelerators are installed.
                http="h11",
                loop="asyncio",
                ws="none",
                # Long enough that no client finds its connection closed between two pages.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(
            target=server.run, args=([listener],), name="demo-api", daemon=True
        )
        thread.start()
        self._running = (server, thread)

    def stop(self) -> None:
        """Free the port and end the thread, and after one second requests in flight; idempotent."""
        if not self._running:
            return
        server, thread = self._running
        server.should_exit = True
        thread.join(timeout=10)
        self._running = None

    def __enter__(self) -> DemoServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def _incidents_now() -> list[dict[str, Any]]:
    return incidents_at(datetime.now(timezone.utc))
