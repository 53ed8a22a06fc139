"""Requests the next pages before their turn, where a number names them: offsets and page numbers.

Order, errors and the end remain the paginator's; `http.fetch_ahead` sends the requests.
"""

import copy
import math

from dlt.sources.helpers.rest_client.paginators import RangePaginator
from requests import PreparedRequest, Request, Response

from incidents_dagster.ingestion.http.fetch_ahead import AheadSession

# An API that has once responded faster is read page by page: threads cost more than they save.
WORTH_SECONDS = 0.01


class PagesAhead:
    """The pending requests of one list.

    Args:
        session: Sends them.
        numbered: A paginator with the same settings, to write a page's number into a request.
    """

    def __init__(self, session: AheadSession, numbered: RangePaginator) -> None:
        self._session, self._numbered = session, numbered
        self.restart()

    def restart(self) -> None:
        """Starts another list, about which the previous one says nothing."""
        self.end = 0  # every value below it is known to have a page
        self._fastest = math.inf
        self._under_way: dict[int, PreparedRequest] = {}

    def answered(self, response: Response, end: int, maximum: int | None) -> None:
        """Notes the list's `end` as far as a response shows it, and how fast the API is."""
        self.end = end if maximum is None else min(end, maximum)
        self._fastest = min(self._fastest, response.elapsed.total_seconds())

    def send(self, request: Request, value: int, step: int) -> None:
        """Requests the pages from `value` on, and no others, for the list of `request`."""
        most = self._session.fetch_ahead
        values = range(value, min(self.end, value + most * step), step) if most > 1 else range(0)
        under_way = {v: self._under_way[v] for v in values if v in self._under_way}
        if self._fastest >= WORTH_SECONDS:
            under_way |= {v: self._page(request, v) for v in values if v not in under_way}
        self._under_way = under_way
        self._session.keep(request, under_way.values())

    def _page(self, request: Request, value: int) -> PreparedRequest:
        page = copy.copy(request)
        page.params, page.json = dict(request.params), copy.deepcopy(request.json)
        self._numbered.current_value = value
        self._numbered.update_request(page)
        return self._session.prepare_request(page)
