"""A server on loopback whose every answer a test computes, and that remembers whole requests.

For what the demo API does not have: other paginators, other auth, and headers and keys as they
arrived, secrets included.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from faults.loopback import HOST, OnLoopback


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Reply:
    """An answer that is more than a JSON value with status 200; bytes are sent as they are."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


HANG_UP = Reply(status=0)
SILENCE = Reply(status=-1)


class Web(OnLoopback):
    """The server, as a context manager.

    Attributes:
        answer: Gets each request and returns a JSON value, a `Reply`, `HANG_UP` (the connection
            is closed without an answer) or `SILENCE` (no answer until the server stops).
        asked: The requests so far.
    """

    def __init__(self, answer: Callable[[Asked], Any]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._stopped = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                query = dict(parse_qsl(url.query, keep_blank_values=True))
                web.asked.append(Asked(self.command, url.path, query, headers, body))
                given = web.answer(web.asked[-1])
                reply = given if isinstance(given, Reply) else Reply(given)
                if reply is SILENCE:
                    web._stopped.wait()
                if reply.status <= 0:
                    return
                sent = (
                    reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                )
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(sent)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer((HOST, 0), Handler)
        server.daemon_threads = True
        super().__init__(server)

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        super().__exit__(*error)
