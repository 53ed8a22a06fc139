"""Pages fetched ahead of dlt's own paginator, which still walks in order.

A paginator names the requests that follow, up to an end that is known; the session sends them on
threads of its own and hands an answer, or an error, out when the walk asks for that page. When a
request may go out is `pace`'s business, the wire is `transport`'s.
"""

import copy
import math
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Thread
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakSet

from dlt.common import jsonpath
from dlt.common.utils import exclude_keys
from dlt.sources.helpers.requests import Session
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator as DltOffsetPaginator
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator as DltPagePaginator
from dlt.sources.helpers.rest_client.paginators import RangePaginator
from dlt.sources.rest_api.config_setup import create_paginator
from requests import PreparedRequest, Request, Response
from tenacity import Retrying

from incidents_dagster.ingestion.pace import Pace

CLOSING_SECONDS = 5.0
# An API that has once answered faster is read page by page: threads cost more than they save.
WORTH_SECONDS = 0.01

Ahead = dict[Hashable, "Future[Response]"]  # a walk's answers, by method, address and body


class AheadSession(Session):
    """dlt's session, which also sends in the background.

    Args:
        retry: What is retried, and how long apart.
        pace: When attempts may start, on whichever thread.
        fetch_ahead: Most answers under way or not yet taken, of each walk; 1 fetches none ahead.
    """

    def __init__(self, retry: Retrying, pace: Pace, fetch_ahead: int) -> None:
        super().__init__(raise_for_status=False)
        self.fetch_ahead = fetch_ahead
        self._retry = retry
        self._pace = pace
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

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """The answer that is under way already, else one of its own; an error ends the walk."""
        try:
            if future := _ahead(request).pop(_identity(request), None):
                return future.result()
            # This is the walk's thread: nobody closes the session while it sleeps.
            return self._send(request, self._retry.sleep, lambda: False, **kwargs)
        except BaseException:
            self.keep(request, [])
            raise

    def keep(self, walk: Request | PreparedRequest, pages: Iterable[PreparedRequest]) -> None:
        """Gets the answers to `pages`, and no others, under way for the walk of this request."""
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
            return super(AheadSession, self).send(request, **kwargs)  # type: ignore[no-any-return,no-untyped-call]

        def wait(seconds: float) -> None:
            with self._pace.pause():
                sleep(seconds)

        with self._pace.place(unwanted):
            # One copy a request: the statistics that `wraps` shares are not for threads.
            return self._retry.copy(sleep=wait)(attempt)


class _FetchingAhead(RangePaginator):
    """What offsets and page numbers share: later values are known before the next answer is."""

    session: AheadSession
    _end = 0  # every value below it is known to have a page
    _fastest = math.inf
    _pages: dict[int, PreparedRequest]  # those under way

    def init_request(self, request: Request) -> None:
        """As dlt does; an earlier walk says nothing of this one's end."""
        self._end, self._fastest, self._pages = 0, math.inf, {}
        super().init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """As dlt does; the last answer says how far the end is known."""
        super().update_state(response, data)
        total = self._total(response) if self.has_next_page else None
        self._end = 0 if total is None else total + self.base_index
        if self.maximum_value is not None:
            self._end = min(self._end, self.maximum_value)
        self._fastest = min(self._fastest, response.elapsed.total_seconds())

    def update_request(self, request: Request) -> None:
        """As dlt does; this page and those that follow get under way."""
        super().update_request(request)
        most = self.session.fetch_ahead
        end = min(self._end, self.current_value + most * self.value_step)
        ahead = self.has_next_page and most > 1
        values = range(self.current_value, end, self.value_step) if ahead else ()
        under_way = {value: self._pages[value] for value in values if value in self._pages}
        if self._fastest >= WORTH_SECONDS:
            under_way |= {v: self._page(request, v) for v in values if v not in under_way}
        self._pages = under_way
        self.session.keep(request, under_way.values())

    def _page(self, request: Request, value: int) -> PreparedRequest:
        page, then = copy.copy(request), copy.copy(self)
        page.params, page.json = dict(request.params), copy.deepcopy(request.json)
        then.current_value = value
        super(_FetchingAhead, then).update_request(page)
        return self.session.prepare_request(page)

    def _total(self, response: Response) -> int | None:
        if not self.total_path:
            return None
        return int(jsonpath.find_values(self.total_path, response.json())[0])  # as dlt reads it


class PageNumberPaginator(_FetchingAhead, DltPagePaginator):
    """dlt's page numbers, fetching ahead."""


class OffsetPaginator(_FetchingAhead, DltOffsetPaginator):
    """dlt's offsets, fetching ahead.

    Without a `total_path`, an integer `total` at the top of the answer is taken as a hint. It may
    be wrong, so only together with a page that is not full does it end the walk.
    """

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """As dlt does; two signs of the end that agree spare the request for an empty page."""
        offset, received = self.current_value, len(data or [])
        super().update_state(response, data)
        if not self.total_path and not self.has_more_path and received < self.limit:
            self._has_next_page &= offset + received != self._total(response)

    def _total(self, response: Response) -> int | None:
        if self.total_path:
            return super()._total(response)
        answer = response.json()
        total = answer.get("total") if isinstance(answer, dict) else None
        return total if type(total) is int else None  # True passes isinstance


KINDS: dict[Any, type[_FetchingAhead]] = {
    "offset": OffsetPaginator,
    "page_number": PageNumberPaginator,
}


def paginator(config: Any, session: AheadSession) -> Any:
    """What to give rest_api in the place of `config`, its `paginator` setting.

    Offsets and page numbers get a paginator that fetches ahead over `session`; all else, an
    instance too, stays as it is. Raises what rest_api would raise.
    """
    settings = {"type": config} if isinstance(config, str) else config
    kind = KINDS.get(settings.get("type")) if isinstance(settings, dict) else None
    if kind is None:
        return config
    create_paginator(config)  # for what it raises
    made = kind(**exclude_keys(settings, {"type"}))
    made.session = session
    return made


def _ahead(request: Request | PreparedRequest) -> Ahead:
    return cast(Ahead, vars(request).setdefault("ahead", {}))


def _identity(request: PreparedRequest) -> Hashable:
    return request.method, request.url, request.body
