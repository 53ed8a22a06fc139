"""dlt's paginators for offsets and page numbers, which name the requests that will follow.

`http.fetch_ahead` sends those ahead of the walk. Offsets overlap by a row, so that rows which
move while pages are read are noticed; what an answer has to look like is `envelope`'s business.
"""

import copy
import math
from collections.abc import Callable, Hashable
from typing import Any

from dlt.common import jsonpath
from dlt.common.utils import exclude_keys
from dlt.sources.helpers.rest_client.paginators import BasePaginator, RangePaginator
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator as DltOffsetPaginator
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator as DltPagePaginator
from dlt.sources.rest_api.config_setup import create_paginator
from requests import PreparedRequest, Request, Response

from incidents_dagster.ingestion.errors import MovedError
from incidents_dagster.ingestion.http.fetch_ahead import AheadSession

# An API that has once answered faster is read page by page: threads cost more than they save.
WORTH_SECONDS = 0.01
# Pages in a row without any progress, looking for a row of the page before.
MOST_STEPS_BACK = 5
# Records of a page that the next one is compared with; one is enough unless they change meanwhile.
REMEMBERED = 20

Mark = Callable[[Any], Hashable]  # of a record: the same as long as the record is


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
        self._turn(response, data)
        self._end = self._known_end(response) if self.has_next_page else 0
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

    def _turn(self, response: Response, data: list[Any] | None) -> None:
        super().update_state(response, data)

    def _known_end(self, response: Response) -> int:
        total = self._total(response)
        return 0 if total is None else total + self.base_index

    def _total(self, response: Response) -> int | None:
        if not self.total_path:
            return None
        return int(jsonpath.find_values(self.total_path, response.json())[0])  # as dlt reads it


class PageNumberPaginator(_FetchingAhead, DltPagePaginator):
    """dlt's page numbers, fetching ahead."""


class OffsetPaginator(_FetchingAhead, DltOffsetPaginator):
    """dlt's offsets, fetching ahead, by pages that overlap by a row.

    A page has to begin with the very record that the page before ended with. Where it does not,
    rows have moved: the walk steps back until it meets a record of the page before, and goes on
    behind it. A record that nobody touches meanwhile is thus never skipped.

    It goes on by as many rows as come, whatever the limit. The end is a page that is not full
    together with a total that agrees, or a page that brings nothing new.

    Attributes:
        position: Rows of the list so far, as the API counts them.
        how: How the end was known.
        overlapping: Whether all pages so far began where the page before ended.
    """

    mark: Mark
    overlap = True
    position = 0
    how = ""
    overlapping = True
    told_total: Callable[[Response], int | None]  # where no total_path is set
    _known: list[Hashable]  # marks of the last records of the page before
    _steps_back = 0
    _largest = 0

    def init_request(self, request: Request) -> None:
        """As dlt does, from the first row on."""
        self._known, self._steps_back, self._largest, self.how = [], 0, 0, ""
        self.position, self.overlapping = self.initial_value, self.overlap
        super().init_request(request)

    def _turn(self, response: Response, data: list[Any] | None) -> None:
        rows = [] if data is None else data
        received, place = len(rows), self._place(rows)
        last = [self.mark(row) for row in rows[-REMEMBERED:]]
        if place is None:
            rows.clear()
            self._step_back()
            return
        # What the page before has brought already; in another order, there may be more before it.
        rows[:place] = [row for row in rows[:place] if self.mark(row) not in self._known]
        news = received > place
        self.position = self.current_value + received
        total, more = self._total(response), self._has_more(response)
        if not news and place > 1:
            # New rows before it push the known one to the end of the page; or offsets are ignored.
            self._steps_back += 1
            self._check_progress()
            self.current_value += place - 1
            return
        if news:
            self.overlapping &= bool(self._known) or self.current_value == self.initial_value
            self._known, self._steps_back = last, 0
        # A page may be full at the end, and a total may count something else: together they tell.
        short = received != self.limit and not 0 < received == self._largest
        self._largest = max(self._largest, received)
        agreed = short and total == self.position
        self.how = self._end_of(news, more, agreed)
        if self.how:
            self._has_next_page = False
        elif self.overlap and received > 1:
            self.current_value = self.position - 1
            self.value_step = received - 1  # the API may cap its pages
        else:
            self.current_value, self._known = self.position, []
            self.value_step = received

    def _place(self, rows: list[Any]) -> int | None:
        """How many rows are of the page before; None where that cannot be told."""
        if not self._known:
            return 0
        if rows and self.mark(rows[0]) == self._known[-1]:
            return 1
        places = {self.mark(row): place for place, row in enumerate(rows)}
        return next((places[m] + 1 for m in reversed(self._known) if m in places), None)

    def _step_back(self) -> None:
        self._steps_back += 1
        self._check_progress()
        if self.current_value <= self.initial_value:
            raise MovedError("rows of the page before are gone from the beginning of the list")
        self.current_value = max(self.initial_value, self.current_value - self.value_step)

    def _check_progress(self) -> None:
        if self._steps_back > MOST_STEPS_BACK:
            raise MovedError(
                f"the page at offset {self.current_value:,} does not go on from the page before "
                f"(tried {MOST_STEPS_BACK} times)"
            )

    def _end_of(self, news: bool, more: bool | None, agreed: bool) -> str:
        """How the end is known; empty where it is not there yet."""
        if more is False:
            return "the API says that there is no more"
        if not news and more:
            raise MovedError("the API says that there is more and brings nothing new")
        if not news:
            return "a page that brought nothing new"
        if agreed and not more:
            return "a last page and a total that agree"
        if self.maximum_value is not None and self.position >= self.maximum_value:
            return "maximum_offset"
        return ""

    def _has_more(self, response: Response) -> bool | None:
        if not self.has_more_path:
            return None
        # dlt reads the value, in all its spellings; nothing else of its state is of use here.
        reader = copy.copy(self)
        reader.total_path = reader.maximum_value = None
        reader._has_next_page = True
        super(_FetchingAhead, reader).update_state(response, [None])
        return reader.has_next_page

    def _known_end(self, response: Response) -> int:
        # A last page begins two rows before the end or earlier: a row of overlap, and a new one.
        total = self._total(response)
        return 0 if total is None else total - (1 if self.overlap else 0)

    def _total(self, response: Response) -> int | None:
        if self.total_path:
            values = jsonpath.find_values(self.total_path, response.json())
            total = values[0] if values else None
            if total is None:
                self._handle_missing_total(response.json())
            try:
                return int(total)  # type: ignore[arg-type]
            except (ValueError, TypeError):
                self._handle_invalid_total(total)
        return self.told_total(response)


def _at_the_top(answer: Any) -> int | None:
    total = answer.get("total") if isinstance(answer, dict) else None
    return total if type(total) is int else None  # True passes isinstance


KINDS: dict[Any, type[_FetchingAhead]] = {
    "offset": OffsetPaginator,
    "page_number": PageNumberPaginator,
}


def paginator(
    config: Any,
    session: AheadSession,
    mark: Mark = repr,
    overlap: bool = True,
    told_total: Callable[[Response], int | None] = lambda response: _at_the_top(response.json()),
) -> BasePaginator | None:
    """rest_api's paginator for `config`, its `paginator` setting; None where it is to be guessed.

    Args:
        config: As rest_api takes it.
        session: Offsets and page numbers fetch ahead over it.
        mark: Tells whether two records of two pages are the same.
        overlap: Whether offset pages may overlap.
        told_total: How many records an answer says there are, for offsets without a total_path.

    Raises:
        Exception: What rest_api would raise.
    """
    made = create_paginator(config)
    settings = {"type": config} if isinstance(config, str) else config
    kind = KINDS.get(settings.get("type")) if isinstance(settings, dict) else None
    if kind is None:
        return made
    fetching = kind(**exclude_keys(settings, {"type"}))
    fetching.session = session
    if isinstance(fetching, OffsetPaginator):
        fetching.mark, fetching.told_total = mark, told_total
        fetching.overlap = overlap and fetching.limit > 1
        fetching.value_step = fetching.limit - 1 if fetching.overlap else fetching.limit
    return fetching
