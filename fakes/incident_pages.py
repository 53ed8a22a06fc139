"""An incident API on loopback that tells the truth page by page, unless a case tells it otherwise.

For what the demo API does not have: every paginator of rest_api, and answers down to the byte.
Where it says nothing else, an answer is `{"data": [...], "total": N}` and what the style adds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from fakes.incidents import PATH, moment
from fakes.messages import Asked, Reply
from fakes.web import Web

PAGE_ROWS = 100
# A sync that asks more often than this does not end by itself.
MOST_REQUESTS = 100_000


@dataclass(frozen=True)
class Raw:
    """A record as JSON text, for what `json.dumps` cannot write."""

    text: str


@dataclass
class Page:
    """A good answer, on its way to whoever tells it otherwise.

    Attributes:
        number: From 1; pages that overlap by a few rows keep their numbers.
        last: Nothing follows.
        query: The request's, decoded.
        rows: All rows that the request's filter leaves, on whichever page.
        body: The answer, for the case to change in place or to replace.
        heard: The request's headers, names in lower case.
        headers: The answer's, to be changed in place.
        status: The answer's, to be changed in place.
    """

    number: int
    last: bool
    query: dict[str, str]
    rows: list[Any]
    body: dict[str, Any]
    heard: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


Tell = Callable[[Page], Any]


def truth(page: Page) -> Any:
    """The answer as it is."""
    return page.body


class IncidentPages(Web):
    """The server, as a context manager.

    Attributes:
        style: A name of `PAGINATORS`: how one page leads to the next.
        rows: The source. A record that is not an object, or has no usable time, passes every
            filter.
        lists: More lists, by their paths.
        keeps: Whether a request's query leaves a record in the list.
        total: Whether answers say how many records there are.
        first_page: The number of the first page, for styles that count pages.
        single: Answers for one record, by its id below the list's path; None: there is no such
            path.
        tell: Gets each good answer as a `Page` and returns the JSON value, or bytes, to send.
        served: Each request since the last `clear`, with the bytes of its answer.
    """

    def __init__(self, style: str = "offset", page_rows: int = PAGE_ROWS) -> None:
        super().__init__(self._answer)
        self.style = style
        self.page_rows = page_rows
        self.rows: list[Any] = []
        self.lists: dict[str, list[Any]] = {}
        self.keeps: Callable[[Any, dict[str, str]], bool] = changed_since
        self.total = style != "offset, no total"
        self.first_page = 1
        self.single: Callable[[str], Any] | None = None
        self.tell: Tell = truth
        self.served: list[tuple[Page, bytes]] = []

    def _answer(self, asked: Asked) -> Reply:
        if self.single and asked.path.startswith(f"{PATH}/"):
            given = self.single(unquote(asked.path.removeprefix(f"{PATH}/")))
            return given if isinstance(given, Reply) else Reply(given)
        if asked.path not in (PATH, *self.lists):
            return Reply({"error": "There is nothing at this path."}, 404)
        if len(self.served) >= MOST_REQUESTS:
            return Reply({"error": "This walk does not end."}, 403)
        try:
            page = self._page(asked.path, asked.query)
        except ValueError:
            return Reply({"error": "A parameter is wrong."}, 400)
        page.heard = asked.headers
        told = self.tell(page)
        sent = told if isinstance(told, bytes) else as_json(told)
        self.served.append((page, sent))
        return Reply(sent, page.status, {"Content-Type": "application/json", **page.headers})

    def _page(self, path: str, query: dict[str, str]) -> Page:
        there = self.rows if path == PATH else self.lists[path]
        rows = [row for row in there if self.keeps(row, query)]
        total, limit = len(rows), int(query.get("limit", self.page_rows))
        if self.style.startswith("offset"):
            at = int(query.get("offset", 0))
        elif self.style.startswith("page number"):
            at = (int(query.get("page", self.first_page)) - self.first_page) * limit
        else:
            at = int(query.get("after", "c0").removeprefix("c"))
        if at < 0 or limit < 1:
            raise ValueError
        if self.style == "single page":
            limit = max(total, 1)
        end = at + limit
        last = end >= total
        page = Page(round(at / limit) + 1, last, query, rows, {"data": rows[at:end]})
        follows = None if last else {**query, "after": f"c{end}"}
        link = follows and f"{self.base_url}{path}?{urlencode(_keyless(follows))}"
        if self.style == "offset and more":
            page.body["more"] = not last
        elif self.style == "page number and pages":
            page.body["pages"] = -(-total // limit)
        elif self.style == "cursor":
            page.body["next"] = follows and follows["after"]
        elif self.style in ("link", "auto"):
            page.body["next"] = link
        elif self.style == "cursor in a header" and follows:
            page.headers["next"] = follows["after"]
        elif self.style == "link in a header" and link:
            page.headers["Link"] = f'<{link}>; rel="next"'
        if self.total:
            page.body["total"] = total
        return page


def _keyless(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name != "api_key"}


def changed_since(row: Any, query: dict[str, str]) -> bool:
    """Whether a record passes the filter `updated_since`, if the query has it."""
    since = query.get("updated_since")
    if since is None or not isinstance(row, dict):
        return True
    try:
        return moment(row.get("updated_at")) >= moment(since.replace(" ", "+"))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return True


def as_json(value: Any) -> bytes:
    """`value` as JSON in UTF-8, NaN and half surrogate pairs as Python spells them."""
    raw: list[str] = []

    def mark(given: Any) -> str:
        raw.append(given.text)
        return f"raw record {len(raw) - 1}"

    text = json.dumps(value, default=mark)
    for number, fragment in enumerate(raw):
        text = text.replace(f'"raw record {number}"', fragment)
    return text.encode()
