"""Pages fetched ahead of dlt's own paginator, which still walks in order.

A paginator of `paginators` names the requests that follow, up to an end that is known; the session
sends them on threads of its own and hands out a response, or an error, when the walk asks for that
page. When a request may go out is `pace`'s business, the wire is `transport`'s.
"""

import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Thread
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakSet

from dlt.sources.helpers.requests import Session
from requests import PreparedRequest, Request, Response
from tenacity import Retrying

from incidents_dagster.ingestion.http.deadline import Deadline
from incidents_dagster.ingestion.http.pace import Pace

READ_SECONDS = 60.0  # longest that a connection, or a part of a response, is waited for
CLOSING_SECONDS = 5.0

Ahead = dict[Hashable, "Future[Response]"]  # a walk's responses, by method, address and body


class AheadSession(Session):
    """dlt's session, which also sends in the background.

    Args:
        retry: What is retried, and how long apart.
        pace: When attempts may start, on whichever thread.
        fetch_ahead: Most responses under way or not yet taken, of each walk; 1 fetches none ahead.
        deadline: When all of it ends with an OutOfTimeError.
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
        """As requests does, but once a host: it goes through the whole environment for proxies."""
        host = urlsplit(str(url))[:2]
        if host not in self._environment:
            self._environment[host] = super().merge_environment_settings(url, *settings, **named)
        return dict(self._environment[host])

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As requests does; what is under way for the walk goes along."""
        prepared = super().prepare_request(request)
        vars(prepared)["ahead"] = _ahead(request)
        return prepared

    def get_redirect_target(self, resp: Response) -> str | None:
        """As requests does, which takes it for granted that the address is UTF-8."""
        try:
            return super().get_redirect_target(resp)
        except UnicodeDecodeError:
            return resp.headers["Location"]

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """The response that is under way already, else a new one; an error ends the walk."""
        try:
            if future := _ahead(request).pop(_identity(request), None):
                return self._in_time(request, lambda: future.result(self._deadline.left() + 1))
            # This is the walk's thread: nobody closes the session while it sleeps.
            return self._send(request, self._retry.sleep, lambda: False, **kwargs)
        except BaseException:
            self.keep(request, [])
            raise

    def keep(self, walk: Request | PreparedRequest, pages: Iterable[PreparedRequest]) -> None:
        """Gets the responses to `pages`, and no others, under way for the walk of this request."""
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

    def close(self) -> None:
        """Ends all waiting and all threads. Bounded: after five seconds a request that hangs is
        left to its own timeout, on a thread that does not keep the process."""
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
                # One copy a request: the statistics that `wraps` shares are not for threads.
                return self._retry.copy(sleep=wait)(attempt)

        return self._in_time(request, all_attempts)

    def _in_time(self, request: PreparedRequest, work: Callable[[], Response]) -> Response:
        """What `work` returns or raises. After the deadline neither is any use: a response without
        a length that was cut off there looks like a whole one."""
        try:
            return work()
        finally:
            self._deadline.check(str(request.url))


def _ahead(request: Request | PreparedRequest) -> Ahead:
    return cast(Ahead, vars(request).setdefault("ahead", {}))


def _identity(request: PreparedRequest) -> Hashable:
    return request.method, request.url, request.body
