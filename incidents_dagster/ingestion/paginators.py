"""dlt's paginators for offsets and page numbers, which name the requests that will follow.

`ahead` sends those before the walk asks for them.
"""

import copy
import math
from typing import Any

from dlt.common import jsonpath
from dlt.common.utils import exclude_keys
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator as DltOffsetPaginator
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator as DltPagePaginator
from dlt.sources.helpers.rest_client.paginators import RangePaginator
from dlt.sources.rest_api.config_setup import create_paginator
from requests import PreparedRequest, Request, Response

from incidents_dagster.ingestion.ahead import AheadSession

# An API that has once answered faster is read page by page: threads cost more than they save.
WORTH_SECONDS = 0.01


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
