"""Fetches pages ahead of dlt's own paginator, which still walks them in order.

A paginator of `paginators` names the next requests, up to the known end of the list. The session
sends them on its own threads and returns each response, or error, when the walk asks for that page.
`pace` decides when a request may start, `transport` sends it.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakSet

from dlt.sources.helpers.requests import Session
from requests import PreparedRequest, Request, Response
from tenacity import Retrying, stop_after_attempt

from incidents_dagster.ingestion.http.deadline import Deadline
from incidents_dagster.ingestion.http.pace import Pace

READ_SECONDS = 60.0  # longest wait for a connection, and for each part of a response
CLOSING_SECONDS = 5.0

Ahead = dict[Hashable, "Future[Response]"]  # one walk's responses, by method, address and body


class AheadSession(Session):
    """dlt's session, which also sends requests in the background.

    Args:
        retry: What to retry, and when.
        pace: When attempts may start, across all threads.
        fetch_ahead: Most responses pending or unused, per walk; 1: none are fetched ahead.
        deadline: When everything ends with an OutOfTimeError.
    """

    def __init__(self, retry: Retrying, pace: Pace, fetch_ahead: int, deadline: Deadline) -> None:
        super().__init__(timeout=READ_SECONDS, raise_for_status=False)
        self.fetch_ahead = fetch_ahead
        self._retry = retry
        self._pace = pace
        self._deadline = deadline
        self._threads: WeakSet[Thread] = WeakSet()
        self._environment: dict[tuple[str, str], Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "AheadSession":
        return self  # rest_api copies its configuration, and RESTClient a paginator for each walk

    def merge_environment_settings(self, url: Any, *settings: Any, **named: Any) -> Any:
        """As in requests, but once per host: it searches the whole environment for proxies."""
        host = urlsplit(str(url))[:2]
        if host not in self._environment:
            self._environment[host] = super().merge_environment_settings(url, *settings, **named)
        return dict(self._environment[host])

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As in requests; also attaches the walk's pending responses."""
        prepared = super().prepare_request(request)
        vars(prepared)["ahead"] = _ahead(request)
        return prepared

    def get_redirect_target(self, resp: Response) -> str | None:
        """As in requests, which fails on an address that is not UTF-8."""
        try:
            return super().get_redirect_target(resp)
        except UnicodeDecodeError:
            return resp.headers["Location"]

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """The response if it is already pending, else a new one; an error ends the walk."""
        try:
            if future := _ahead(request).pop(_identity(request), None):
                return self._in_time(request, lambda: future.result(self._deadline.left() + 1))
            # This is the walk's thread: nobody closes the session while it sleeps.
            return self._send(request, self._retry.sleep, lambda: False, **kwargs)
        except BaseException:
            self.keep(request, [])
            raise

    def keep(self, walk: Request | PreparedRequest, pages: Iterable[PreparedRequest]) -> None:
        """Fetches `pages`, and no others, ahead for the walk that this request belongs to."""
        under_way = _ahead(walk)
        wanted = {_identity(page): page for page in pages}
        for identity in under_way.keys() - wanted.keys():
            under_way.pop(identity).cancel()
        for identity, page in wanted.items():
            if identity not in under_way:
                under_way[identity] = future = Future[Response]()
                thread = Thread(None, self._fetch, "fetch-ahead", (page, future), daemon=True)
                self._threads.add(thread)
                thread.start()

    @contextmanager
    def once(self) -> Iterator[None]:
        """Retries nothing meanwhile; no other walk may be under way."""
        retry, self._retry = self._retry, self._retry.copy(stop=stop_after_attempt(1))
        try:
            yield
        finally:
            self._retry = retry

    def close(self) -> None:
        """Ends all waits and threads. After five seconds, a request that hangs is left to its own
        timeout, on a daemon thread."""
        self._pace.close()
        self._deadline.close()
        end = time.monotonic() + CLOSING_SECONDS
        for thread in list(self._threads):
            thread.join(max(0, end - time.monotonic()))
        super().close()

    def _fetch(self, request: PreparedRequest, future: "Future[Response]") -> None:
        with suppress(InvalidStateError):  # cancelled meanwhile
            try:
                settings = self.merge_environment_settings(str(request.url), {}, None, None, None)
                response = self._send(request, self._pace.sleep, future.cancelled, **settings)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(response)

    def _send(
        self,
        request: PreparedRequest,
        sleep: Callable[[float], None],
        unwanted: Callable[[], bool],
        **kwargs: Any,
    ) -> Response:
        def attempt() -> Response:
            self._pace.attempt(unwanted)
            if (left := self._deadline.left()) < READ_SECONDS:
                # 0 would be no timeout.
                kwargs["timeout"] = min(cast(float, self.timeout), left + 0.001)
            return super(AheadSession, self).send(request, **kwargs)  # type: ignore[no-any-return,no-untyped-call]

        def wait(seconds: float) -> None:
            self._deadline.allow(seconds, str(request.url))
            with self._pace.pause():
                sleep(seconds)

        def all_attempts() -> Response:
            with self._pace.place(unwanted):
                # One copy per request, as `wraps` shares statistics, which are not thread-safe.
                return self._retry.copy(sleep=wait)(attempt)

        return self._in_time(request, all_attempts)

    def _in_time(self, request: PreparedRequest, work: Callable[[], Response]) -> Response:
        """What `work` returns or raises, but only before the deadline: a response without a length
        that was cut off there looks complete."""
        try:
            return work()
        finally:
            self._deadline.check(str(request.url))


def _ahead(request: Request | PreparedRequest) -> Ahead:
    return cast(Ahead, vars(request).setdefault("ahead", {}))


def _identity(request: PreparedRequest) -> Hashable:
    return request.method, request.url, request.body
