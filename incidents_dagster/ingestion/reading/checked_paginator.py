"""Any paginator of rest_api, with each response checked before its rows count.

`Pages` records what the pages show, `ends` knows how each kind of paginator ends, and `reader`
reads again.
"""

import base64
import copy
import re
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests import Request, Response

from incidents_dagster.ingestion.errors import CeilingError, IncompleteError, MovedError
from incidents_dagster.ingestion.http.dates import date_of
from incidents_dagster.ingestion.reading.ends import End, TotalIs, end_of
from incidents_dagster.ingestion.reading.envelope import Envelope, beside
from incidents_dagster.ingestion.reading.further_records import ListRead, doubts_about
from incidents_dagster.ingestion.reading.named_paths import NamedPath, path_of
from incidents_dagster.ingestion.reading.page_size import Asked
from incidents_dagster.ingestion.reading.pages import Marks, Pages
from incidents_dagster.ingestion.reading.partial import why_partial

REMEMBERED_PAGES = 10
# Empty pages in a row, for APIs that filter page by page.
MOST_EMPTY_PAGES = 20
# So many records may be deleted while pages are read; or such a share, if a total is an estimate.
FEW, FEW_SHARE = 10, 0.2
PLACES = re.compile(r"page|offset|skip|start|from", re.IGNORECASE)
BASE64 = re.compile(r"[\w+/=-]{4,}")


class CheckedPaginator(BasePaginator):
    """Wraps the paginator of each list that is read.

    Args:
        inner: The paginator; None to let dlt guess it from the first response.
        envelope: Checks each response.
        mark: Identifies a record.
        pages: Records what the pages show.
        named: The paths of `[completeness]` that the configuration names.
    """

    def __init__(
        self,
        inner: BasePaginator | None,
        envelope: Envelope,
        mark: Marks,
        pages: Pages,
        named: Sequence[NamedPath] = (),
    ) -> None:
        super().__init__()
        self.inner = inner
        self._envelope, self._mark, self._pages, self._named = envelope, mark, pages, named
        self._guessed = inner is None
        self._next_page: NamedPath | None = None
        self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CheckedPaginator":
        # rest_api takes a copy for each record of a parent; the copies share `pages`.
        inner = copy.deepcopy(self.inner, memo)
        envelope = copy.copy(self._envelope)
        inner = None if self._guessed else inner
        return CheckedPaginator(inner, envelope, self._mark, self._pages, self._named)

    def _begin(self) -> None:
        self._count = self._rows = self._empty = self._largest = 0
        self._over = False
        self._totals: list[int] = []
        self._asked: set[int] = set()
        self._before: tuple[str, dict[str, Any]] | None = None  # the previous request
        self._first: list[Hashable] = []
        self._recent: deque[list[Hashable]] = deque(maxlen=REMEMBERED_PAGES)

    @property
    def has_next_page(self) -> bool:
        """Whether the paginator has one."""
        return self.inner is None or (self.inner.has_next_page and not self._over)

    @property
    def total(self) -> int | None:
        """How many records the list has, as the API last reported; None if it does not."""
        end = self._end
        told = self._totals[-1] if self._totals and end.total_is is not TotalIs.PAGES else None
        return told if end.total is None else end.total

    @property
    def _end(self) -> End:
        assert self.inner  # from the first response on
        return end_of(self.inner, self._envelope.total_path, bool(self._empty))

    def init_request(self, request: Request) -> None:
        """Starts another list."""
        self._begin()
        self._first_asked, self._request = Asked.by(request), request
        if self._guessed:
            self.inner = None
        if self.inner:
            self.inner.init_request(request)
        self._asked.add(_fingerprint(request))

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Checks the response, then passes it to the paginator.

        Raises:
            IncompleteError: The response is not valid, or the list ended too early.
            CeilingError: The list has more records than the API shows of one.
            MovedError: It contradicts the previous ones.
        """
        pages, rows = self._pages, [] if data is None else data
        self._envelope.check(response, rows)
        if not self._count:
            pages.lists += 1
        self._count += 1
        pages.count += 1
        pages.latest = date_of(response)
        pages.began = pages.began or pages.latest
        if self.inner is None:
            self.inner, _ = PaginatorFactory().create_paginator(response)
        assert self.inner
        self._look_up(response, len(rows))
        if self._count == 1:  # parsing a path takes as long as a small page
            self._next_page = path_of(self.inner)
        self.inner.update_state(response, rows)
        self._response = response
        self._take(response, rows)
        for path in filter(None, [self._next_page, *self._named]):
            if not pages.has_seen(path) and path.is_in(response):
                pages.saw(path, len(rows))
        if self.inner.has_next_page and self._end.names_pages and self._may_end(response, rows):
            self._over = self._names_known_page()
        last = not self.has_next_page
        if why := why_partial(response, self._envelope.where, last):
            pages.doubts[f"the API says that its response is partial: {why}"] = None
        if last:
            self._finish(response)

    def update_request(self, request: Request) -> None:
        """Requests the paginator's next page, but never the same one twice.

        Raises:
            IncompleteError: The response names the next page in a form that cannot be used.
            MovedError: That page has already been read.
        """
        assert self.inner
        self._before = str(request.url), dict(request.params or {})
        try:
            _turn_page(self.inner, request)
        except (AttributeError, TypeError, ValueError) as error:
            raise IncompleteError(
                "The API's response names a next page in a way that cannot be followed, so nothing "
                f"was loaded. {self._advice()}"
            ) from error
        self._request = request
        if self.has_next_page and self._end.names_pages:
            self._pages.by_place |= self._counts_on()
            asked = _fingerprint(request)
            if asked in self._asked:
                raise MovedError("the API's next page has already been read")
            self._asked.add(asked)

    def _look_up(self, response: Response, rows: int) -> None:
        """Looks whether the list goes on beyond what the API shows of one.

        The page after the last one may have to be requested, to see that there is nothing.

        Raises:
            CeilingError: It does.
        """
        most, self._largest = self._pages.most, max(rows, self._largest)
        there = max(self._rows + rows, self._envelope.total(response) or 0)
        if most and there + self._largest > most:
            error = CeilingError(f"the list has more than {most:,} records")
            error.certain = there > most
            raise error

    def _advice(self) -> str:
        """What to set if the configured path has an object instead of a link or a cursor."""
        path = self._next_page
        if path and path.in_body:
            around = beside(self._response.json(), self._envelope.where)
            inside = [f'"{name}"' for name, _ in around if name.startswith(f"{path.path}.")]
            if inside:
                return f"{path} is an object; set {path.setting} to {' or '.join(inside)}."
        return "Check the paginator in .dlt/config.toml."

    def _take(self, response: Response, rows: list[Any]) -> None:
        pages = self._pages
        self._rows += len(rows)
        pages.rows += len(rows)
        if (total := self._envelope.total(response)) is not None:
            self._totals.append(total)
        if not rows:
            self._empty += 1
            if self._empty > MOST_EMPTY_PAGES:
                raise IncompleteError(
                    f"The API sent {self._empty} empty pages in a row, and names yet another: "
                    "check the paginator."
                )
            return
        self._empty = 0
        if self._end.overlapping:
            return  # it checks that itself
        marks = [self._mark(row) for row in rows]
        seen = set(self._first).union(*self._recent)
        if seen.issuperset(marks):
            raise MovedError(
                f"the API repeats records that it has already sent{self._why_repeated()}"
            )
        self._first = self._first or marks
        self._recent.append(marks)
        pages.fingerprint = hash((pages.fingerprint, *marks))

    def _finish(self, response: Response) -> None:
        pages, end = self._pages, self._end
        counted = self._rows if end.places is None else end.places
        total = self._totals[-1] if self._totals else None
        pages.ended += 1
        pages.hows[end.how] = None
        pages.by_place |= end.by_place and self._count > 1
        # That many may be new since the first page; the next sync finds them.
        grown = max(0, self._totals[-1] - self._totals[0]) if self._totals else 0
        if counted - self._rows > grown:
            raise MovedError(
                f"only {self._rows:,} records arrived from a list with {counted:,} positions"
            )
        if end.cut_off:
            pages.doubts["the paginator is configured to stop at a maximum"] = None
            total = None
        elif self._envelope.more(response):
            raise IncompleteError(
                f"The API says there are more records but gives no way to reach them: {counted:,} "
                "were read, nothing was loaded. Check the paginator in .dlt/config.toml."
            )
        elif total is not None and not end.total_is.fits(self._totals, counted):
            said = next(told for told in reversed(self._totals) if told != counted)
            why = next((f": {why}" for _, why in self._signs_of_more(response, None, counted)), "")
            raise MovedError(f"{counted:,} records were read, but the API reports {said:,}{why}")
        elif (fallen := _fall(self._totals)) > max(FEW, FEW_SHARE * max(self._totals, default=0)):
            raise MovedError(f"the API's total fell by {fallen:,} while pages were read")
        elif total is None and self._guessed and end.one_page:
            pages.doubts["no paginator is set, and nothing says whether there are more pages"] = (
                None
            )
        if not end.cut_off and not pages.doubts:
            self._look_for_more(response, total, counted)
        # A total that fits but differs counts something else, or is of another moment.
        both = total == counted and pages.expected is not None
        pages.expected = pages.expected + total if both else None  # type: ignore[operator]
        if total is not None and end.total_is is not TotalIs.PAGES:
            pages.at_least += min(self._totals)

    def _look_for_more(self, response: Response, total: int | None, counted: int) -> None:
        pages = self._pages
        for path, why in self._signs_of_more(response, total, counted):
            if path:
                pages.unseen[str(path)] = why
            else:
                pages.doubts[why] = None

    def _signs_of_more(
        self, response: Response, total: int | None, counted: int
    ) -> Iterable[tuple[NamedPath | None, str]]:
        """Why there may be more records than the list has shown, and which path tells."""
        read = ListRead(
            response,
            self._envelope,
            self._end,
            self._first_asked,
            self._count,
            self._rows,
            counted,
            total,
        )
        next_page = None if self._over else self._next_page
        return doubts_about(read, self._pages, next_page, self._named)

    def _may_end(self, response: Response, rows: list[Any]) -> bool:
        """Whether anything but the paginator says that the list ends here."""
        complete = self._totals[-1:] == [self._rows]
        return complete or not rows or self._envelope.more(response) is False

    def _names_known_page(self) -> bool:
        """Whether the next page is one that was requested, as some APIs name it at the end."""
        assert self.inner
        request = copy.deepcopy(self._request)
        try:
            _turn_page(copy.deepcopy(self.inner), request)
        except (AttributeError, TypeError, ValueError):
            return False
        return _fingerprint(request) in self._asked

    def _why_repeated(self) -> str:
        ignored = " and ".join(map(repr, self._asks_by()))
        numbered = self._end.by_place and self._end.places is None
        base = " or base_page were wrong" if numbered else ""
        return f", as if it ignored {ignored} in the request{base}" if ignored else ""

    def _asks_by(self) -> dict[str, str]:
        """The parameters that differ from those of the previous request."""
        if not self._before:
            return {}
        now = _query(str(self._request.url), self._request.params or {})
        before = _query(*self._before)
        return {name: value for name, value in now.items() if before.get(name, "") != value}

    def _counts_on(self) -> bool:
        """Whether the next page is named by a place in the list, such as `page=3` in a link.

        A parameter is a place by its name, or if it counts pages or rows so far, even in base64.
        """
        places = {str(n) for n in (self._count, self._count + 1, self._rows, self._rows + 1)}
        return any(
            (PLACES.search(name) and value.isdigit()) or places & {value, *_numbers_in(value)}
            for name, value in self._asks_by().items()
        )


def _turn_page(paginator: BasePaginator, request: Request) -> None:
    paginator.update_request(request)
    if paginator.has_next_page and not isinstance(request.url, str):
        raise TypeError("a link has to be a text")


def _query(url: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a request, in its address and beside it."""
    texts = {name: str(value) for name, value in params.items()}
    return {**dict(parse_qsl(urlsplit(url).query)), **texts}


def _fall(totals: list[int]) -> int:
    """By how much the totals of a list's pages have fallen at most."""
    highest = accumulate(totals, max)
    return max((high - total for high, total in zip(highest, totals, strict=True)), default=0)


def _numbers_in(value: str) -> list[str]:
    """The numbers in `value` decoded from base64, if that gives a text."""
    if not BASE64.fullmatch(value):
        return []
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("ascii")
    except ValueError:
        return []
    return re.findall(r"\d+", text) if text.isprintable() else []


def _fingerprint(request: Request) -> int:
    return hash((request.url, repr(request.params), repr(request.json), repr(request.data)))
