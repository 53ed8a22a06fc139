"""One reading of a resource, page by page: every answer is judged, and what they say together.

`CheckedPaginator` stands around the paginator of each walk, and `Evidence` keeps what was
seen, to be held against what the API says of itself. Reading again is `reader`'s business.
"""

import base64
import copy
import re
from collections import deque
from collections.abc import Hashable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    BaseReferencePaginator,
    RangePaginator,
    SinglePagePaginator,
)
from requests import Request, Response

from incidents_dagster.ingestion.errors import IncompleteError, MovedError
from incidents_dagster.ingestion.reading.envelope import Envelope
from incidents_dagster.ingestion.reading.paginators import OffsetPaginator
from incidents_dagster.ingestion.reading.proof import Evidence, Marks, date_of

REMEMBERED_PAGES = 10
# Pages in a row that bring no row at all, for APIs whose filter works page by page.
MOST_EMPTY_PAGES = 20
PLACES = re.compile(r"page|offset|skip|start|from", re.IGNORECASE)
BASE64 = re.compile(r"[\w+/=-]{4,}")


class CheckedPaginator(BasePaginator):
    """Any paginator of rest_api, with each answer judged before its rows count.

    Args:
        inner: The paginator; None to let dlt guess it from the first answer.
        judge: Of each answer.
        mark: Of each record.
        evidence: Gets what was seen.
    """

    def __init__(
        self, inner: BasePaginator | None, judge: Envelope, mark: Marks, evidence: Evidence
    ) -> None:
        super().__init__()
        self.inner = inner
        self._judge, self._mark, self._evidence = judge, mark, evidence
        self._guessed = inner is None
        self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CheckedPaginator":
        # rest_api takes a copy for each record of a parent; what was seen is theirs together.
        inner = copy.deepcopy(self.inner, memo)
        judge = copy.copy(self._judge)
        return CheckedPaginator(None if self._guessed else inner, judge, self._mark, self._evidence)

    def _begin(self) -> None:
        self._pages = self._rows = self._empty = 0
        self._totals: list[int] = []
        self._asked: set[int] = set()
        self._first: list[Hashable] = []
        self._recent: deque[list[Hashable]] = deque(maxlen=REMEMBERED_PAGES)

    @property
    def has_next_page(self) -> bool:
        """As the paginator says."""
        return self.inner is None or self.inner.has_next_page

    def init_request(self, request: Request) -> None:
        """A new walk."""
        self._begin()
        if self._guessed:
            self.inner = None
        if self.inner:
            self.inner.init_request(request)
        self._asked.add(_fingerprint(request))

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Judges the answer, then lets the paginator have it.

        Raises:
            IncompleteError: The answer is not what it has to be, or not all that there is.
            MovedError: It does not go with those before.
        """
        evidence, rows = self._evidence, [] if data is None else data
        self._judge.check(response, rows)
        if not self._pages:
            evidence.walks += 1
        self._pages += 1
        evidence.pages += 1
        evidence.last_answer = response
        if evidence.began is None:
            evidence.began = date_of(response)
        if self.inner is None:
            self.inner, _ = PaginatorFactory().create_paginator(response)
        assert self.inner
        self.inner.update_state(response, rows)
        self._count(response, rows)
        if not self.inner.has_next_page:
            self._end(response)

    def update_request(self, request: Request) -> None:
        """As the paginator says; a request that was made before would be made for ever.

        Raises:
            IncompleteError: What names the next page is of an odd type.
            MovedError: It is one that was read already.
        """
        assert self.inner
        before = str(request.url), dict(request.params or {})
        try:
            self.inner.update_request(request)
        except (AttributeError, TypeError, ValueError) as error:
            raise IncompleteError(
                "The API's answer names a next page in a way that cannot be followed, so nothing "
                "was loaded. Check the paginator in .dlt/config.toml."
            ) from error
        if not self.inner.has_next_page:
            return
        if isinstance(self.inner, RangePaginator):
            self._evidence.positional |= not isinstance(self.inner, OffsetPaginator)
            return
        self._evidence.positional |= self._counts_on(before, request)
        asked = _fingerprint(request)
        if asked in self._asked:
            raise MovedError("the API's next page is one that it has answered before")
        self._asked.add(asked)

    def _count(self, response: Response, rows: list[Any]) -> None:
        evidence = self._evidence
        self._rows += len(rows)
        evidence.rows += len(rows)
        if (total := self._judge.total(response)) is not None:
            self._totals.append(total)
        if not rows:
            self._empty += 1
            if self._empty > MOST_EMPTY_PAGES:
                raise IncompleteError(
                    f"The API has answered {self._empty} pages in a row without any record, and "
                    "goes on: check the paginator."
                )
            return
        self._empty = 0
        if isinstance(self.inner, OffsetPaginator) and self.inner.overlapping:
            return  # it looks at that itself
        marks = [self._mark(row) for row in rows]
        seen = set(self._first).union(*self._recent)
        if seen.issuperset(marks):
            raise MovedError("the API answers with records again that it has answered already")
        self._first = self._first or marks
        self._recent.append(marks)
        evidence.fingerprint = hash((evidence.fingerprint, *marks))

    def _end(self, response: Response) -> None:
        inner, evidence = self.inner, self._evidence
        evidence.ended += 1
        total = self._totals[-1] if self._totals else None
        counted, how = self._rows, "the API names no next page"
        if isinstance(inner, OffsetPaginator):
            counted, how = inner.position - inner.initial_value, inner.how
            evidence.positional |= self._pages > 1 and not inner.overlapping
            # As many may be new since the first page; the next sync finds them.
            grown = max(0, self._totals[-1] - self._totals[0]) if self._totals else 0
            if counted - self._rows > grown:
                raise MovedError(
                    f"{self._rows:,} records came, of a list that has {counted:,} places"
                )
        elif isinstance(inner, RangePaginator):
            how = "an empty page" if self._empty else "the number of pages"
        elif isinstance(inner, SinglePagePaginator):
            how = "a single page"
        maximum = getattr(inner, "maximum_value", None)
        at = getattr(inner, "current_value", 0)
        if how == "maximum_offset" or (maximum is not None and at >= maximum):
            evidence.unproven["the paginator is set to end at a maximum"] = None
            total = None
        elif self._judge.more(response):
            raise IncompleteError(
                f"The API says that there are more records, and names no way to them: {counted:,} "
                "were read, nothing was loaded. Check the paginator in .dlt/config.toml."
            )
        elif total is not None and not self._fits(total, counted):
            said = next(told for told in reversed(self._totals) if told != counted)
            raise MovedError(
                f"{counted:,} records were read, and the API says that there are {said:,}"
            )
        elif total is None and isinstance(inner, SinglePagePaginator) and self._guessed:
            evidence.unproven["no paginator is set, and nothing tells of more pages or none"] = None
        evidence.hows[how] = None
        # One that fits without being the count is of something else, or of another moment.
        both = total == counted and evidence.expected is not None
        evidence.expected = evidence.expected + total if both else None  # type: ignore[operator]
        if total is not None and not self._of_pages:
            evidence.at_least += min(self._totals)

    def _fits(self, total: int, counted: int) -> bool:
        # Incidents come and go while pages are read; as many as there are at once do not.
        if isinstance(self.inner, OffsetPaginator):
            # A total that was passed long ago counts something else, such as the page.
            return total <= counted
        if isinstance(self.inner, (BaseReferencePaginator, RangePaginator)):
            # What changes on the way may come twice, so that more come than there are.
            return self._of_pages or min(self._totals) <= counted >= max(self._totals) / 2
        return total == counted

    @property
    def _of_pages(self) -> bool:
        """Whether the total counts pages."""
        inner = self.inner
        if not isinstance(inner, RangePaginator) or isinstance(inner, OffsetPaginator):
            return False
        return str(inner.total_path) == self._judge.total_path

    def _counts_on(self, before: tuple[str, dict[str, Any]], request: Request) -> bool:
        """Whether the next page is told by a place in the list, such as `page=3` in a link.

        By its name, or as it is how many pages or rows there were so far, in base64 too.
        """
        query = parse_qsl(urlsplit(str(request.url)).query)
        asked = {**dict(query), **{k: str(v) for k, v in (request.params or {}).items()}}
        earlier = {**dict(parse_qsl(urlsplit(before[0]).query)), **before[1]}
        places = {str(n) for n in (self._pages, self._pages + 1, self._rows, self._rows + 1)}
        return any(
            (PLACES.search(name) and value.isdigit()) or places & {value, *_numbers_in(value)}
            for name, value in asked.items()
            if str(earlier.get(name, "")) != value
        )


def _numbers_in(value: str) -> list[str]:
    """The numbers in what `value` is the base64 of, where that is a text."""
    if not BASE64.fullmatch(value):
        return []
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("ascii")
    except ValueError:
        return []
    return re.findall(r"\d+", text) if text.isprintable() else []


def _fingerprint(request: Request) -> int:
    return hash((request.url, repr(request.params), repr(request.json), repr(request.data)))
