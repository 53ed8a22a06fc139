"""An HTTP server on loopback that misbehaves as told, at the level of bytes and connections.

Between its faults it gives right answers: those of a list of incidents, or those of a real API that
it stands in front of, so that a configuration of your own can be tried against faults:

    python -m faults.server --forward https://your.api --port 8098 --faults 7
    SOURCES__INCIDENTS__CLIENT__BASE_URL=http://127.0.0.1:8098 make run

About a third of the requests then meet a fault that a sync recovers from by itself; the number is
the seed. Links to the next page that name your API's own host are not rewritten: they are refused
by the sync, as they lead to another host. What the faults are is in `misbehaviour`.
"""

import argparse
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3

from faults.misbehaviour import RECOVERABLE, Answer, Fault, answer_of

HOST = "127.0.0.1"
SHARE = 1 / 3
MOST_IN_A_ROW = 2  # of faults that one address meets: a sync tries each request four times
# Of one connection alone, or wrong once a body has been read whole.
NOT_FORWARDED = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names in lower case, the target with its query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Api = Callable[[Request], Answer]
Script = Callable[[int, Request], Fault | None]


class FaultServer:
    """The server, as a context manager; each connection has a thread.

    Args:
        api: The right answer to a request.
        script: What to do in its place; gets the number of the request, from 1 on, too.
        tls: Makes it a server for https.
        port: Default: any free one.

    Attributes:
        script: May be replaced at any time; the count of requests begins anew with `restart`.
        seen: Of each request a line such as `3 GET /v1/incidents hang up`, without its query.
    """

    def __init__(
        self, api: Api, script: Script, tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.api, self.script, self.seen = api, script, list[str]()
        self._tls, self._stopped, self._counting = tls, threading.Event(), threading.Lock()
        self._listener = socket.create_server((HOST, port))
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def restart(self, script: Script) -> None:
        """Another script, and a count from 1 on."""
        self.script, self.seen = script, []

    def __enter__(self) -> "FaultServer":
        threading.Thread(None, self._accept, "fault-server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(None, self._connected, "fault", (connection,), daemon=True).start()

    def _connected(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with suppress(OSError), connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                        self._serve(wrapped)
                else:
                    self._serve(connection)
        finally:
            self._open.discard(connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            if reader.peek(1)[:1] == b"\x16" and not self._tls:  # https, which has no lines
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            while request := _read(reader):
                with self._counting:
                    number = len(self.seen) + 1
                    fault = self.script(number, request)
                    path = request.target.split("?", maxsplit=1)[0]
                    said = fault.name if fault else "right"
                    self.seen.append(f"{number} {request.method} {path} {said}")
                answer = self.api(request)
                if not fault:
                    connection.sendall(answer.wire())
                    continue
                if fault.then == "close" and not fault.every:
                    _end_with_the_bytes(connection)
                for piece in fault.sends(answer):
                    connection.sendall(piece)
                    if self._stopped.wait(fault.every) if fault.every else False:
                        return
                if fault.then == "hold":
                    self._stopped.wait()
                if fault.then == "reset":
                    off = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # no time to linger: RST, not FIN
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
                    # Closed for good: a reader or a wrapper that is still there would keep it.
                    socket.close(connection.detach())
                if fault.then != "keep":
                    return


def _end_with_the_bytes(connection: socket.socket) -> None:
    """Has what is sent go out with the end of the connection, as one packet where it fits.

    Otherwise it is chance whether a client that asks again at once finds the connection closed.
    """
    if cork := getattr(socket, "TCP_CORK", None):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, cork, 1)


def _read(reader: Any) -> Request | None:
    words = reader.readline().decode("latin-1").split()
    headers = {}
    while line := reader.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if len(words) != 3:
        return None
    body = reader.read(int(headers.get("content-length") or 0))
    return Request(words[0], words[1], headers, body)


class Incidents:
    """GET /v1/incidents with `offset`, `limit`, `updated_since` and the key in `api_key`.

    Attributes:
        rows: Served in this order; each with `id` and `updated_at`, an ISO 8601 text.
    """

    def __init__(self, rows: list[dict[str, Any]], api_key: str) -> None:
        self.rows, self._key = rows, api_key

    def __call__(self, request: Request) -> Answer:
        """The page that is asked for."""
        url = urlsplit(request.target)
        query = dict(parse_qsl(url.query))
        if query.get("api_key") != self._key:
            return answer_of({"error": "api_key is wrong"}, 401)
        rows = self.rows
        if since := query.get("updated_since"):
            rows = [r for r in rows if _time(r["updated_at"]) >= _time(since)]
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
        return answer_of({"data": rows[offset : offset + limit], "total": len(rows)})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def forward(base_url: str) -> Api:
    """The answers of the API at `base_url`, as they are."""
    pool = urllib3.PoolManager(maxsize=16, retries=False)

    def ask(request: Request) -> Answer:
        headers = {n: v for n, v in request.headers.items() if n not in NOT_FORWARDED}
        address = base_url.rstrip("/") + request.target
        try:
            got = pool.request(
                *(request.method, address, request.body or None, None, headers),
                redirect=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as error:  # its text has the address with the key
            return answer_of({"error": f"cannot be reached: {type(error).__name__}"}, 502)
        kept = [(n, v) for n, v in got.headers.items() if n.lower() not in NOT_FORWARDED]
        return Answer(got.status, got.reason or "", tuple(kept), got.data)

    return ask


def seeded(seed: int) -> Script:
    """A recoverable fault for about a third of the requests, never too many in a row."""
    in_a_row: Counter[str] = Counter()

    def script(number: int, request: Request) -> Fault | None:
        chance = random.Random(f"{seed}/{number}")
        if chance.random() >= SHARE or in_a_row[request.target] >= MOST_IN_A_ROW:
            in_a_row.pop(request.target, None)
            return None
        in_a_row[request.target] += 1
        return chance.choice(RECOVERABLE)

    return script


def main() -> None:
    """Serves until it is interrupted, and says of each request what became of it."""
    parser = argparse.ArgumentParser(prog="python -m faults.server")
    parser.add_argument("--forward", required=True, metavar="URL", help="your API's base_url")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--faults", type=int, default=0, metavar="SEED", help="default: 0")
    given = parser.parse_args()
    script = seeded(given.faults)

    def told(number: int, request: Request) -> Fault | None:
        fault = script(number, request)
        path = request.target.split("?", maxsplit=1)[0]
        print(f"{number} {request.method} {path} {fault.name if fault else 'right'}", flush=True)
        return fault

    with FaultServer(forward(given.forward), told, port=given.port) as server:
        print(f"http://{HOST}:{server.port} stands in front of {given.forward}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
