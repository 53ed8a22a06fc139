"""The HTTP server of tests and faults: every answer is computed, down to its bytes where need be.

It serves on loopback, on plain sockets, so that it can break what an HTTP library would not let it
break; what is to go wrong is made in `misbehaviour`. It remembers whole requests, secrets included.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any, TypeVar
from weakref import WeakSet

from fakes.messages import Asked, Fault, Reply

HOST = "127.0.0.1"
Self = TypeVar("Self", bound="Web")


Script = Callable[[int, Asked], Fault | None]
STARTED: "WeakSet[Web]" = WeakSet()  # in this process, for who looks at what all of them were asked


class Web:
    """The server, as a context manager; each connection has a thread.

    Args:
        tls: Makes it a server for https.
        port: Default: any free one.

    Attributes:
        answer: Gets each request and returns a JSON value, a `Reply`, or a `Fault` that needs no
            right answer, such as `HANG_UP`.
        script: What goes wrong with the answer; gets the number of the request, from 1 on, too.
        date: What it says the time is, as `Date` has it.
        asked: The requests so far. To begin anew, clear it; numbers then start at 1.
    """

    def __init__(
        self,
        answer: Callable[[Asked], Any],
        script: Script = lambda *_: None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.answer, self.script = answer, script
        self.date: Callable[[], str] = lambda: formatdate(usegmt=True)
        self.asked: list[Asked] = []
        self.port = port
        self._tls, self._stopped, self._counting = tls, threading.Event(), threading.Lock()
        self._open: set[socket.socket] = set()

    @property
    def base_url(self) -> str:
        """Address without a slash at the end, final once the server has started."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    def __enter__(self: Self) -> Self:
        # The kernel queues connections from here on, so nobody has to wait for the thread.
        self._listener = socket.create_server((HOST, self.port), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(None, self._accept, "web", daemon=True).start()
        STARTED.add(self)
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
            threading.Thread(
                None, self._connected, "connection", (connection,), daemon=True
            ).start()

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
            while asked := _read(reader):
                with self._counting:
                    self.asked.append(asked)
                    fault = self.script(len(self.asked), asked)
                given = self.answer(asked)
                if isinstance(given, Fault):
                    given, fault = None, given
                reply = given if isinstance(given, Reply) else Reply(given)
                reply = reply.under(Date=self.date())
                if not isinstance(reply.body, bytes):
                    reply = reply.under(Content_Type="application/json")
                if fault:
                    if not self._met(fault, reply, connection):
                        return
                    continue
                connection.sendall(reply.wire())
                if not reply.whole or asked.headers.get("connection", "").lower() == "close":
                    return

    def _met(self, fault: Fault, reply: Reply, connection: socket.socket) -> bool:
        """Sends a fault; whether the connection goes on."""
        if fault.then == "close" and not fault.every:
            _end_with_the_bytes(connection)
        for piece in fault.sends(reply):
            connection.sendall(piece)
            if self._stopped.wait(fault.every) if fault.every else False:
                return False
        if fault.then == "hold":
            self._stopped.wait()
        if fault.then == "reset":
            off = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # no time to linger: RST, not FIN
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
            # Closed for good: a reader or a wrapper that is still there would keep it.
            socket.close(connection.detach())
        return fault.then == "keep"


def _end_with_the_bytes(connection: socket.socket) -> None:
    """Has what is sent go out with the end of the connection, as one packet where it fits.

    Otherwise it is chance whether a client that asks again at once finds the connection closed.
    """
    if cork := getattr(socket, "TCP_CORK", None):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, cork, 1)


def _read(reader: Any) -> Asked | None:
    method, target, *version = reader.readline().decode("latin-1").split() or ("", "")
    headers = {}
    while line := reader.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if not version:
        return None
    body = reader.read(int(headers.get("content-length") or 0))
    return Asked(method, target, headers, body.decode())
