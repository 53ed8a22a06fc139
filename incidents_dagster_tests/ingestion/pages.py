"""An API on loopback that hands out one list page by page, and what a reading of it brings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from incidents_dagster.ingestion.reading.proof import Proof
from incidents_dagster.ingestion.reading.reader import Arrived, Reader
from incidents_dagster.ingestion.reading.source import open_api
from incidents_dagster.ingestion.settings import Settings
from incidents_dagster.ingestion.tables import Table
from incidents_dagster_tests.ingestion.web import Asked

OFFSET = {"type": "offset", "limit": 5, "total_path": ""}
PAGE = {"type": "page_number", "base_page": 1, "total_path": ""}
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
LINK = {"type": "json_link", "next_url_path": "next"}

TIME = {"data_type": "timestamp", "dedup_sort": "desc"}
INCREMENTAL = {"cursor_path": "at", "start_param": "since", "lag": 60}
MARKED = "SELECT id FROM incidents.x WHERE deleted_at IS NOT NULL ORDER BY id"


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


def resource(address: str, paginator: Any, **more: Any) -> dict[str, Any]:
    """Settings of one resource `x` at `address`; `more` are settings of the endpoint."""
    given = {} if paginator is None else {"paginator": paginator}
    endpoint = {"path": "/x", "data_selector": "data", **given, **more}
    return {
        "client": {"base_url": address},
        "resources": [
            {
                "name": "x",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {name: value for name, value in endpoint.items() if value is not None},
            }
        ],
        "fetch_ahead": 1,  # so that what moves moves between pages
    }


@dataclass
class Read:
    """What a reading brought: ids in their order, whole numbers as such; proof; report."""

    ids: list[Any]
    proof: Proof
    said: list[str]


def read(settings: Settings, name: str = "x") -> Read:
    """Reads resource `name` as a sync does, without loading it."""
    said: list[str] = []
    ids: list[Any] = []

    def land(arrived: Arrived | None) -> Iterator[None]:
        found = arrived.batch.rows["id"].to_pylist() if arrived else []
        ids.extend(int(key) if key.isdigit() else key for key in found)
        yield from ()

    with open_api(settings, said.append) as api:
        known = Table.of(api.declared, name).declared
        reading = Reader(api, name, dict(known)).read(None, land)
        try:
            while True:
                next(reading)
        except StopIteration as end:
            return Read(ids, end.value.proof, said)
