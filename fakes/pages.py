"""A short list that moves while it is read, page by page: the answers of a `Web`."""

from collections.abc import Callable
from typing import Any

from fakes.messages import Asked
from fakes.paginators import paginator

OFFSET = paginator("offset", 5)
PAGE = paginator("page number", 5)
CURSOR = paginator("cursor", 5)
LINK = paginator("link", 5)


def row(number: int, v: Any = "a", minute: int | None = None) -> dict[str, Any]:
    """A record with a time of change `at`: so many minutes past midnight, default `number`."""
    minute = number if minute is None else minute
    return {"id": str(number), "at": f"2026-11-01T00:{minute:02}:00Z", "v": v}


class Pages:
    """Serves `rows`, five on a page; a test changes it in place.

    Attributes:
        rows: The list, of records or of their ids.
        cap: Most rows on a page.
        edits: Number of a request, from 1 on → what happens to the list after its answer.
        reshape: Gets each `{"data": …, "next": …}` and returns what to send.
        asked: Where the pages asked for begin, in the order of arrival.
    """

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows
        self.cap = 5
        self.edits: dict[int, Callable[[list[Any]], Any]] = {}
        self.reshape: Callable[[dict[str, Any]], Any] = lambda body: body
        self.asked: list[int] = []

    def __call__(self, asked: Asked) -> Any:
        told = asked.query
        at = (int(told["page"]) - 1) * self.cap if "page" in told else 0
        at = int(told.get("offset", told.get("after", str(at)).removeprefix("c")))
        page = self.rows[at : at + min(self.cap, int(told.get("limit", self.cap)))]
        self.asked.append(at)
        after = at + len(page)
        following = f"c{after}" if after < len(self.rows) else None
        records = [row if isinstance(row, dict) else {"id": row} for row in page]
        body = self.reshape({"data": records, "next": following})
        if edit := self.edits.get(len(self.asked)):
            edit(self.rows)
        return body
