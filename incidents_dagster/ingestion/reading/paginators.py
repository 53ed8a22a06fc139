"""dlt's paginators for offsets and page numbers, with pages fetched ahead.

Offset pages overlap by a row, which shows whether rows move while pages are read. All other
paginators are dlt's own. `envelope` checks the responses.
"""

from collections.abc import Callable, Hashable
from typing import Any

from dlt.common import jsonpath
from dlt.common.utils import exclude_keys
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator as DltOffsetPaginator
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator as DltPagePaginator
from dlt.sources.rest_api.config_setup import create_paginator
from requests import Request, Response

from incidents_dagster.ingestion.errors import MovedError
from incidents_dagster.ingestion.http.fetch_ahead import AheadSession
from incidents_dagster.ingestion.reading.pages_ahead import PagesAhead

# Pages in a row without progress, while looking for a row of the previous page.
MOST_STEPS_BACK = 5
# Records of a page to compare the next one with; one is enough unless they change meanwhile.
REMEMBERED = 20

Mark = Callable[[Any], Hashable]  # identifies a record
Total = Callable[[Response], int | None]  # how many records a response says there are


class PageNumberPaginator(DltPagePaginator):
    """dlt's paginator for page numbers, fetching ahead."""

    ahead: PagesAhead

    def init_request(self, request: Request) -> None:
        """Starts at the first page."""
        self.ahead.restart()
        super().init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Advances by a page, as in dlt."""
        super().update_state(response, data)
        end = 0
        if self.has_next_page and self.total_path:
            # As dlt reads it.
            pages = int(jsonpath.find_values(self.total_path, response.json())[0])
            end = pages + self.base_index
        self.ahead.answered(response, end, self.maximum_value)

    def update_request(self, request: Request) -> None:
        """Prepares the request for the page, and sends those for the following ones."""
        super().update_request(request)
        self.ahead.send(request, self.current_value, self.value_step)


class OffsetPaginator(DltOffsetPaginator):
    """dlt's paginator for offsets, fetching ahead, with pages that overlap by a row.

    A page must begin with the very record that the previous page ended with. If it does not, rows
    have moved: the walk steps back until it meets a record of the previous page, and continues
    after it. So a record that does not change meanwhile is never skipped.

    It advances by the number of rows that arrive, whatever the limit. The list ends with a page
    that is not full, if the total agrees, or with a page that has nothing new.

    Attributes:
        position: Rows of the list so far, as the API counts them.
        total: Rows of the list as the API last reported; None if it does not.
        how: How the end was known.
        overlapping: Whether all pages so far began where the previous one ended.
    """

    ahead: PagesAhead
    mark: Mark
    told: Total  # where no total_path is set
    overlap: bool
    position = 0
    total: int | None = None
    how = ""
    overlapping = True
    _known: list[Hashable]  # marks of the last records of the previous page
    _steps_back = 0
    _largest = 0

    def init_request(self, request: Request) -> None:
        """Starts at the first page."""
        self._known, self._steps_back, self._largest, self.how = [], 0, 0, ""
        self.position, self.overlapping, self.total = self.initial_value, self.overlap, None
        self.ahead.restart()
        super().init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Continues after the rows of the page, or steps back to known ones.

        Removes from `data` the rows that the previous page already had.
        """
        rows = [] if data is None else data
        place = self._place(rows)
        if place is None:
            rows.clear()
            self._step_back()
        else:
            self._go_on(response, rows, place)
        # A last page begins at least two rows before the end: a row of overlap, and a new one.
        end = (self.total or 0) - (1 if self.overlap else 0) if self.has_next_page else 0
        self.ahead.answered(response, end, self.maximum_value)

    def update_request(self, request: Request) -> None:
        """Prepares the request for the page, and sends those for the following ones."""
        super().update_request(request)
        self.ahead.send(request, self.current_value, self.value_step)

    def _go_on(self, response: Response, rows: list[Any], place: int) -> None:
        received, last = len(rows), [self.mark(row) for row in rows[-REMEMBERED:]]
        # Rows of the previous page; if the order changed, new ones may come before them.
        rows[:place] = [row for row in rows[:place] if self.mark(row) not in self._known]
        news = received > place
        self.position = self.current_value + received
        self.total, more = self._read_total(response), self._read_more(response)
        if not news and place > 1:
            # New rows pushed the known one to the end of the page; or the API ignores offsets.
            self._steps_back += 1
            param = self.param_name or self.param_body_path
            self._check_progress(f", as if the API ignored {param!r} in the request")
            self.current_value += place - 1
            return
        if news:
            self.overlapping &= bool(self._known) or self.current_value == self.initial_value
            self._known, self._steps_back = last, 0
        # A last page may be full, and a total may count something else: only both together count.
        short = received != self.limit and not 0 < received == self._largest
        self._largest = max(self._largest, received)
        agreed = short and self.total == self.position
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
        """How many rows are of the previous page; None if that is unknown."""
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
            raise MovedError("the previous page's rows are gone, even from the start of the list")
        self.current_value = max(self.initial_value, self.current_value - self.value_step)

    def _check_progress(self, hint: str = "") -> None:
        if self._steps_back > MOST_STEPS_BACK:
            raise MovedError(
                f"the page at offset {self.current_value:,} does not continue the previous page "
                f"(tried {MOST_STEPS_BACK} times){hint}"
            )

    def _end_of(self, news: bool, more: bool | None, agreed: bool) -> str:
        """How the end is known; empty before the end."""
        if more is False:
            return "the API says there are no more"
        if not news and more:
            raise MovedError("the API says there is more but returns nothing new")
        if not news:
            return "a page with nothing new"
        if agreed and not more:
            return "the last page and the total agree"
        if self.maximum_value is not None and self.position >= self.maximum_value:
            return "maximum_offset"
        return ""

    def _read_more(self, response: Response) -> bool | None:
        if not self.has_more_path:
            return None
        # dlt knows all spellings of the value.
        reader = DltOffsetPaginator(self.limit, total_path=None, has_more_path=self.has_more_path)
        reader.init_request(Request())
        reader.update_state(response, [None])
        return reader.has_next_page

    def _read_total(self, response: Response) -> int | None:
        if not self.total_path:
            return self.told(response)
        values = jsonpath.find_values(self.total_path, response.json())
        total = values[0] if values else None
        if total is None:
            self._handle_missing_total(response.json())
        try:
            return int(total)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            return self._handle_invalid_total(total)  # type: ignore[func-returns-value]


def paginator(
    config: Any,
    session: AheadSession,
    mark: Mark = repr,
    overlap: bool = True,
    total: Total = lambda _: None,
) -> BasePaginator | None:
    """rest_api's paginator for `config`, its `paginator` setting; None if dlt is to guess it.

    Args:
        config: As in rest_api.
        session: Fetches ahead for offsets and page numbers.
        mark: Identifies a record.
        overlap: Whether offset pages may overlap.
        total: How many records a response says there are, for offsets without a total_path.

    Raises:
        Exception: What rest_api would raise.
    """
    made = create_paginator(config)
    kind = config if isinstance(config, str) else None
    settings: dict[str, Any] = {}
    if isinstance(config, dict):
        kind, settings = config.get("type"), exclude_keys(config, {"type"})
    if kind == "page_number" and isinstance(made, DltPagePaginator):
        pages = PageNumberPaginator(**settings)
        pages.ahead = PagesAhead(session, made)
        return pages
    if kind == "offset" and isinstance(made, DltOffsetPaginator):
        offsets = OffsetPaginator(**settings)
        offsets.ahead = PagesAhead(session, made)
        offsets.mark, offsets.told = mark, total
        offsets.overlap = overlap and offsets.limit > 1
        offsets.value_step = offsets.limit - 1 if offsets.overlap else offsets.limit
        return offsets
    return made
