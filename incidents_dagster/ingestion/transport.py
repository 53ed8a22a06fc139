"""How requests reach the API: retries, the key on the wire, what an error may say.

Pages, parameters and selectors are rest_api's business, in `source`; which pages are asked for
before it asks, and when, is decided in `ahead` and `pace`.
"""

import logging
import threading
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError

from incidents_dagster.ingestion.ahead import AheadSession
from incidents_dagster.ingestion.pace import Pace

RETRIED_STATUSES = (429, 500, 502, 503, 504)
RETRIES = 3
DEFAULT_PORTS = {"http": 80, "https": 443}
BACKOFF_FACTOR = 2  # waits of 2, 4 and 8 seconds, unless Retry-After says otherwise

DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
LONG_NUMBER = b"0" * 19  # shortest that orjson may make a float of: integers beyond 64 bits


class KeyOnTheWire(AuthConfigBase):
    """Stands in for the real auth while rest_api prepares a request, so that it holds no key.

    Marks requests to the API's own origin; `ApiAdapter` applies the real auth to those alone.
    """

    def __init__(self, auth: AuthConfigBase, base_url: str) -> None:
        super().__init__()
        self.real = auth
        self.origin = _origin(base_url)
        self.resolve()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin(str(request.url)) == self.origin:
            request.sign = self.real  # type: ignore[attr-defined]
        return request


class ApiResponse(requests.Response):
    """Parses its body once, however often dlt asks, and by orjson where that is exact."""

    _parsed: tuple[bytes, Any] | None = None

    def json(self, **kwargs: Any) -> Any:
        """What requests would return or raise; without arguments, the same object each time."""
        if kwargs:
            return super().json(**kwargs)
        body = self.content
        if self._parsed is None or self._parsed[0] is not body:
            self._parsed = body, self._parse(body)
        return self._parsed[1]

    def _parse(self, body: bytes) -> Any:
        utf8 = (self.encoding or "utf-8").lower() == "utf-8"  # orjson checks that it is
        if utf8 and LONG_NUMBER not in body.translate(DIGITS):
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError:
                pass
        return super().json()


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

    def build_response(self, *args: Any) -> requests.Response:
        """As requests does, which has no setting for the class of responses."""
        response = super().build_response(*args)
        response.__class__ = ApiResponse
        return response

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
            response.content  # noqa: B018
        except requests.RequestException as error:
            # The original text and its causes hold the address with the key.
            text = _describe(error, error.request or request)
            told = type(error)(text, request=request, response=error.response)
        else:
            response.request, response.url = request, str(request.url)
            return response
        finally:
            with self._counting:
                self._in_flight -= 1
        raise told  # here, where the original is not its context


def open_session(
    fetch_ahead: int = 1, requests_per_minute: float = 0
) -> tuple[AheadSession, ApiAdapter]:
    """A session that retries as designed and follows no redirect, and its adapter.

    Three retries on `RETRIED_STATUSES` and on connection faults, exponential with factor 2;
    a Retry-After header of the API goes before. Other statuses fail at once. No request starts
    while a retry waits. Closing the session ends everything, threads and waits included.

    Args:
        fetch_ahead: Most requests in flight, for `ahead.paginator` to make use of.
        requests_per_minute: Most requests a minute, retries included, evenly spaced; 0: no limit.
    """
    client = Client(
        raise_for_status=False,
        request_max_attempts=1 + RETRIES,
        request_backoff_factor=BACKOFF_FACTOR,
        status_codes=RETRIED_STATUSES,
    )
    retry = client.session.send.retry  # type: ignore[attr-defined]  # tenacity's handle
    session = AheadSession(retry, Pace(fetch_ahead, requests_per_minute), fetch_ahead)
    session.max_redirects = 0
    # A no-op in the place of requests' default, which would take a password from ~/.netrc.
    session.auth = lambda request: request
    adapter = ApiAdapter(fetch_ahead)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    # urllib3 writes whole addresses into its DEBUG log.
    logging.getLogger("urllib3.connectionpool").addFilter(_without_query)
    return session, adapter


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(a.split("?")[0] if isinstance(a, str) else a for a in record.args)
    return True


def _describe(
    error: requests.RequestException, request: requests.Request | requests.PreparedRequest
) -> str:
    address = str(request.url).split("?")[0]
    if error.response is not None:
        return f"{address} answered {error.response.status_code}."
    if isinstance(error, requests.Timeout):
        return f"{address} did not answer in time ({type(error).__name__})."
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"{address} broke off in the middle of its answer."
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return f"{address} sent an answer that cannot be decoded: check proxies in between."
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    # urllib3 ends its texts with what the system said; what stands before names the address.
    said = str(reason).rpartition(": ")[2].split("?")[0]
    return (
        f"{address} cannot be reached: {said or type(error).__name__} "
        f"({type(error).__name__}). Check client.base_url and that the API is up."
    )
