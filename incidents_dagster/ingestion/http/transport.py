"""The session and its adapter: how requests reach the API, and what their errors may say.

`fetch_ahead` decides which pages are requested ahead, `pace` when, `retries` what is repeated, and
`secrets.key_on_the_wire` which secret is sent.
"""

import socket
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from incidents_dagster.ingestion.http.deadline import Deadline
from incidents_dagster.ingestion.http.fetch_ahead import AheadSession
from incidents_dagster.ingestion.http.network_errors import describe
from incidents_dagster.ingestion.http.pace import Pace
from incidents_dagster.ingestion.http.responses import ApiResponse
from incidents_dagster.ingestion.http.retries import retrying
from incidents_dagster.ingestion.secrets.proxies import remember_proxy_passwords
from incidents_dagster.ingestion.secrets.redaction import clean, redact, watch_logs


class _Remembered:
    """A connection that passes itself to `remember`, and its socket once it has one."""

    def __init__(self, remember: Callable[[Any], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._remember = remember

    def connect(self) -> None:
        """Has its socket while it waits for a proxy; later the response may own the socket."""
        self._remember(self)
        super().connect()  # type: ignore[misc]
        self._remember(self.sock)  # type: ignore[attr-defined]


class _Http(_Remembered, HTTPConnection):
    pass


class _Https(_Remembered, HTTPSConnection):
    pass


# Other kinds, such as requests' for SOCKS proxies, have only their timeouts.
KINDS: dict[Any, type[_Remembered]] = {HTTPConnection: _Http, HTTPSConnection: _Https}


class ApiAdapter(HTTPAdapter):
    """Sends each request with its key, and returns responses and errors without it.

    Attributes:
        requests_made: Requests sent so far, retries included.
        most_in_flight: Most requests that ever waited for a response at once.
        max_page_mb: A larger response is refused.
        watch: Gets each response.
    """

    def __init__(self, connections: int = 1, max_page_mb: int = 100) -> None:
        super().__init__(pool_maxsize=connections)
        self.requests_made = self.most_in_flight = self._in_flight = 0
        self.max_page_mb = max_page_mb
        self.watch: Callable[[requests.Response], Any] = lambda _: None
        self._counting, self._signing = threading.Lock(), threading.Lock()
        self._connected: WeakSet[Any] = WeakSet()

    def build_response(self, *args: Any) -> requests.Response:
        """As in requests, which has no setting for the class of responses."""
        response = super().build_response(*args)
        response.__class__ = ApiResponse
        response.max_mb = self.max_page_mb  # type: ignore[attr-defined]
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """As in requests; remembers the pool's connections for `hang_up`."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if kind := KINDS.get(pool.ConnectionCls):
            pool.ConnectionCls = partial(kind, self._remember)
        return pool  # type: ignore[no-any-return]

    def _remember(self, connection: Any) -> None:
        with self._counting:
            self._connected.add(connection)

    def hang_up(self) -> None:
        """Closes all connections; threads that wait for a response get an error at once."""
        with self._counting:
            connected = list(self._connected)
        for one in connected:
            with suppress(OSError, TypeError):  # not connected yet, or not any more
                # SSLSocket's own method would also remove the TLS under a reading thread.
                socket.socket.shutdown(getattr(one, "sock", one), socket.SHUT_RDWR)

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **kwargs: object
    ) -> requests.Response:
        """Sends `request`; re-raises network errors with a message that has no query."""
        with self._counting:
            self.requests_made += 1
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        sign = getattr(request, "sign", None)
        try:
            with self._signing:  # OAuth2 renews its token here, once for all threads
                signed = sign(request.copy()) if sign else request
            response = super().send(signed, **kwargs)  # type: ignore[arg-type]
            # Read before dlt's hook sees the status: it raises and would leave the connection open.
            body = response.content
            clean(response)
            response.redacted = response.content is not body  # type: ignore[attr-defined]
        except requests.RequestException as error:
            # The original message and its causes contain the address with the key.
            text = redact(describe(error, error.request or request))
            told = type(error)(text, request=request, response=error.response)
        else:
            response.request, response.url = request, str(request.url)
            self.watch(response)
            return response
        finally:
            with self._counting:
                self._in_flight -= 1
        raise told  # outside `except`, so that the original is not its context


def open_session(
    fetch_ahead: int = 1,
    requests_per_minute: float = 0,
    max_minutes: float = 25,
    max_page_mb: int = 100,
    retry_also: Collection[int] = (),
) -> tuple[AheadSession, ApiAdapter]:
    """A session that retries as `retries` says and follows no redirect, and its adapter.

    A Retry-After beyond `max_minutes` fails the sync at once. No request starts while a retry
    waits. Closing the session ends all threads and waits.

    Args:
        fetch_ahead: Most requests in flight at once.
        requests_per_minute: Most requests per minute, retries included, evenly spaced; 0: no limit.
        max_minutes: Counted from now; then every request ends with an OutOfTimeError.
        max_page_mb: A larger response is refused.
        retry_also: Statuses that mean what 429 does.
    """
    remember_proxy_passwords()
    pace, deadline = Pace(fetch_ahead, requests_per_minute), Deadline(max_minutes)
    session = AheadSession(retrying(retry_also), pace, fetch_ahead, deadline)
    session.max_redirects = 0
    # A no-op instead of requests' default, which would take a password from ~/.netrc.
    session.auth = lambda request: request
    adapter = ApiAdapter(fetch_ahead, max_page_mb)
    session.mount("http://", adapter)
    session.mount("https://", adapter)

    def end() -> None:
        pace.close()
        adapter.hang_up()

    deadline.watch(end)
    watch_logs()
    return session, adapter
