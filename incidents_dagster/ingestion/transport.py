"""How requests reach the API: retries, the key on the wire, what an error may say.

Pages, parameters and selectors are rest_api's business, in `source`; which pages are asked for
before it asks, and when, is decided in `ahead` and `pace`.
"""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit
from weakref import WeakSet

import requests
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, AuthConfigBase
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, wait_exponential
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from incidents_dagster.ingestion.ahead import AheadSession
from incidents_dagster.ingestion.answers import ApiResponse
from incidents_dagster.ingestion.deadline import Deadline
from incidents_dagster.ingestion.network_errors import describe
from incidents_dagster.ingestion.pace import (
    BACKOFF_FACTOR,
    MOST_SECONDS,
    RETRIED_STATUSES,
    RETRIES,
    Pace,
)
from incidents_dagster.ingestion.redaction import clean, redact, watch_logs

DEFAULT_PORTS = {"http": 80, "https": 443}


class KeyOnTheWire(AuthConfigBase):
    """Stands in for the real auth while rest_api prepares a request, so that it holds no key.

    Marks requests to the endpoint's own origin, and `ApiAdapter` has them signed when they are
    sent. Any other origin is refused: what the API answers may not say where the sync goes next.

    Args:
        auth: The real auth, if there is any.
        address: Of the endpoint, or the API's.
        headers: Sent with each request, below those of `auth`.
        params: Query parameters sent with each request.
    """

    def __init__(
        self,
        auth: AuthConfigBase | None,
        address: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._auth, self._headers, self._params = auth, dict(headers or {}), dict(params or {})
        self._names = set(self._params)
        if isinstance(auth, APIKeyAuth) and auth.location in ("query", "param"):
            self._names.add(auth.name)
        self._address = address
        self.resolve()

    def __deepcopy__(self, memo: dict[int, Any]) -> "KeyOnTheWire":
        return self  # rest_api copies its configuration, and one token serves all

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = str(request.url)
        if origin_of(url) != origin_of(self._address):
            raise requests.exceptions.InvalidURL(
                f"The API's answer leads to {host_of(url)}, which is another host than "
                f"{host_of(self._address)} and is not asked, because the key is not meant for it: "
                "check client.base_url and the paginator."
            )
        request.url = self._without_key(url)
        request.sign = self._sign  # type: ignore[attr-defined]
        return request

    def _without_key(self, url: str) -> str:
        """A next link tends to repeat the whole query, and the key is added on the wire."""
        parts = urlsplit(url)
        query = parts.query.split("&")
        kept = [p for p in query if unquote_plus(p.partition("=")[0]) not in self._names]
        return url if kept == query else urlunsplit(parts._replace(query="&".join(kept)))

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        if self._params:
            request.prepare_url(request.url, self._params)
        return self._auth(request) if self._auth else request


class ApiAdapter(HTTPAdapter):
    """Sends each request with its key, and gives back responses and errors without it.

    Attributes:
        requests_made: Requests sent so far, retries included.
        most_in_flight: Most requests that ever waited for their answers at once.
    """

    def __init__(self, connections: int = 1) -> None:
        super().__init__(pool_maxsize=connections)
        self.requests_made = self.most_in_flight = self._in_flight = 0
        self._counting, self._signing = threading.Lock(), threading.Lock()
        self._connected: WeakSet[Any] = WeakSet()

    def build_response(self, *args: Any) -> requests.Response:
        """As requests does, which has no setting for the class of responses."""
        response = super().build_response(*args)
        response.__class__ = ApiResponse
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """As requests does; what the pool connects is remembered, for `hang_up`."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = self._remembered(pool.ConnectionCls)
        return pool  # type: ignore[no-any-return]

    def _remembered(self, kind: type[HTTPConnection]) -> type[HTTPConnection]:
        connected, lock = self._connected, self._counting

        class Remembered(kind):  # type: ignore[misc,valid-type]
            def connect(self) -> None:
                with lock:
                    connected.add(self)  # has a socket already while it waits for a proxy
                super().connect()
                with lock:
                    connected.add(self.sock)  # is the answer's alone where no other follows

        return Remembered

    def hang_up(self) -> None:
        """Ends all connections; whoever waits for an answer on one gets an error at once."""
        with self._counting:
            connected = list(self._connected)
        for one in connected:
            with suppress(OSError, TypeError):  # not connected yet, or not any more
                # The method of SSLSocket would also take the TLS away from who is reading.
                socket.socket.shutdown(getattr(one, "sock", one), socket.SHUT_RDWR)

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **kwargs: object
    ) -> requests.Response:
        """Sends `request`; a transport fault is raised anew, with a text that has no query."""
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
            clean(response)
        except requests.RequestException as error:
            # The original text and its causes hold the address with the key.
            text = redact(describe(error, error.request or request))
            told = type(error)(text, request=request, response=error.response)
        else:
            response.request, response.url = request, str(request.url)
            return response
        finally:
            with self._counting:
                self._in_flight -= 1
        raise told  # here, where the original is not its context


def open_session(
    fetch_ahead: int = 1, requests_per_minute: float = 0, max_minutes: float = 25
) -> tuple[AheadSession, ApiAdapter]:
    """A session that retries as designed and follows no redirect, and its adapter.

    Three retries on `RETRIED_STATUSES` and on connection faults, exponential with factor 2;
    a Retry-After header of the API goes before, and where it leads beyond `max_minutes`, the sync
    fails at once. Other statuses fail at once. No request starts while a retry waits. Closing the
    session ends everything, threads and waits included.

    Args:
        fetch_ahead: Most requests in flight, for `ahead.paginator` to make use of.
        requests_per_minute: Most requests a minute, retries included, evenly spaced; 0: no limit.
        max_minutes: From now on; then everything under way ends with an OutOfTimeError.
    """
    client = Client(
        raise_for_status=False,
        request_max_attempts=1 + RETRIES,
        request_backoff_factor=BACKOFF_FACTOR,
        request_max_retry_delay=MOST_SECONDS,
        status_codes=RETRIED_STATUSES,
    )
    retry = client.session.send.retry  # type: ignore[attr-defined]  # tenacity's handle
    retry = retry.copy(wait=_waits(retry.wait))
    pace, deadline = Pace(fetch_ahead, requests_per_minute), Deadline(max_minutes)
    session = AheadSession(retry, pace, fetch_ahead, deadline)
    session.max_redirects = 0
    # A no-op in the place of requests' default, which would take a password from ~/.netrc.
    session.auth = lambda request: request
    adapter = ApiAdapter(fetch_ahead)
    session.mount("http://", adapter)
    session.mount("https://", adapter)

    def end() -> None:
        pace.close()
        adapter.hang_up()

    deadline.watch(end)
    watch_logs()
    return session, adapter


def _waits(as_dlt: Callable[[RetryCallState], float]) -> Callable[[RetryCallState], float]:
    def seconds(state: RetryCallState) -> float:
        try:
            return as_dlt(state)
        except (ValueError, OverflowError):  # a Retry-After of the year 99999, or of 5,000 digits
            return wait_exponential(multiplier=BACKOFF_FACTOR)(state)

    return seconds


def origin_of(url: str) -> tuple[str, str, int | None]:
    """What has to be equal for two addresses to be the same server's."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def host_of(url: str) -> str:
    """Scheme, host and port of `url` as a message may show them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
