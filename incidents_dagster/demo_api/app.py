"""The demo API's HTTP application, and the switches that let tests break it.

`stories` decides which incidents exist, `server` has the port and the thread. Nothing is logged
here, and the API key is neither recorded nor repeated.
"""

from __future__ import annotations

import asyncio
import copy
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PATH = "/v1/incidents"
SORT_FIELDS = ("created_at", "updated_at", "id")
REMEMBERED_REQUESTS = 10_000


@dataclass(frozen=True)
class SeenRequest:
    """A request as it arrived.

    Attributes:
        path: Path without the query.
        query: Decoded query parameters, without `api_key`.
        at: Arrival in seconds of `time.monotonic()`.
    """

    path: str
    query: dict[str, str]
    at: float


class DroppedConnection(Response):
    """A scripted response that announces 1000 bytes and breaks off after the first few."""

    def __init__(self) -> None:
        # uvicorn closes the connection when the body turns out shorter than announced.
        super().__init__(b'{"data": [', headers={"content-length": "1000"})


@dataclass
class Faults:
    """Switches of a running demo API, which can be set at any time, and its counters.

    For a list that moves in other ways, give the server an `incidents` callable: it is called
    once for each page.

    Attributes:
        answers: Scripted responses. Each is used up by one request, whatever its path and key:
            `Response(status_code=429, headers={"Retry-After": "1"})`, `DroppedConnection()`.
        latency: Seconds that every request waits for its response, even a scripted one.
        page_cap: Most rows of a page, whatever `limit` says.
        reshape: Receives a copy of each body, `{"data": [...], "total": N}`, and returns the JSON
            value to send instead with status 200. If it raises, the status is 500.
        raw_body: Bytes to send instead of each body, as `application/json` with status 200.
        moving: After each page, "delete" removes for good the first row of the requested list;
            "insert" puts a copy of that row, with the id `NEW-1`, `NEW-2` and so on, before all
            others, whatever the sorting.
        deleted: Ids that `moving` has removed so far.
        inserted: Rows that `moving` has added so far, latest first.
        request_count: Requests so far, on any path.
        in_flight: Requests that are waiting for their response.
        most_in_flight: Most requests that ever waited at once.
    """

    answers: deque[Response] = field(default_factory=deque)
    latency: float = 0.0
    page_cap: int = 100
    reshape: Callable[[dict[str, Any]], Any] | None = None
    raw_body: bytes | None = None
    moving: Literal["delete", "insert"] | None = None
    deleted: set[str] = field(default_factory=set)
    inserted: list[dict[str, Any]] = field(default_factory=list)
    request_count: int = 0
    in_flight: int = 0
    most_in_flight: int = 0


def create_app(
    api_key: str,
    incidents: Callable[[], list[dict[str, Any]]],
    faults: Faults,
    requests: list[SeenRequest],
) -> Starlette:
    """Build the application that serves `GET /v1/incidents`.

    Query parameters: `api_key`; `offset` (default 0); `limit` (default 25, at most 100);
    `updated_since` (ISO 8601, inclusive, UTC if it names no offset); `sort` (`created_at`,
    `updated_at` or `id`, descending with a `-` in front, equal rows by id).

    A page is `{"data": [...], "total": N}`, where N counts the rows that match the filter; an
    error is `{"error": {"code": ..., "message": ...}}` with status 400, 401, 404 or 405.

    Args:
        api_key: The key that a request must carry.
        incidents: Returns all rows; each has the texts `id`, `created_at` and `updated_at`.
        faults: Switches, read for every request.
        requests: The requests are appended to it; beyond 10,000, the oldest are dropped.
    """

    async def answer(request: Request) -> Response:
        path: str = request.scope["path"]
        query = request.query_params
        shown = {name: value for name, value in query.items() if name != "api_key"}
        requests.append(SeenRequest(path, shown, time.monotonic()))
        del requests[:-REMEMBERED_REQUESTS]
        scripted = faults.answers.popleft() if faults.answers else None

        faults.request_count += 1
        faults.in_flight += 1
        faults.most_in_flight = max(faults.most_in_flight, faults.in_flight)
        try:
            await asyncio.sleep(faults.latency)
        finally:
            faults.in_flight -= 1

        if scripted is not None:
            return scripted
        if path != PATH:
            raise HTTPException(404, "There is nothing at this path.")
        if query.get("api_key") != api_key:
            raise HTTPException(401, "The api_key is missing or wrong.")
        return _page(query, incidents(), faults)

    return Starlette(
        routes=[Route("/{path:path}", answer)], exception_handlers={HTTPException: _error}
    )


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).name.lower()
    return JSONResponse({"error": {"code": code, "message": error.detail}}, error.status_code)


def _page(query: QueryParams, incidents: list[dict[str, Any]], faults: Faults) -> Response:
    offset = _whole_number(query, "offset", default=0, least=0)
    limit = min(_whole_number(query, "limit", default=25, least=1), faults.page_cap)
    since = _updated_since(query)
    sort = query.get("sort", "created_at")
    by = sort.removeprefix("-")
    if by not in SORT_FIELDS:
        raise HTTPException(400, f"sort must be one of {', '.join(SORT_FIELDS)}, or -FIELD.")

    value: Callable[[str], Any] = str if by == "id" else _moment
    rows = sorted(incidents, key=lambda row: str(row["id"]))
    rows.sort(key=lambda row: value(row[by]), reverse=sort.startswith("-"))
    rows = [
        row
        for row in [*faults.inserted, *rows]
        if row["id"] not in faults.deleted
        and (since is None or _moment(row["updated_at"]) >= since)
    ]
    if rows and faults.moving == "delete":
        faults.deleted.add(rows[0]["id"])
    if rows and faults.moving == "insert":
        faults.inserted.insert(0, {**rows[0], "id": f"NEW-{len(faults.inserted) + 1}"})

    body = {"data": rows[offset : offset + limit], "total": len(rows)}
    if faults.raw_body is not None:
        return Response(faults.raw_body, media_type="application/json")
    if faults.reshape is not None:
        # A copy of the caller's rows, as a test may edit what it gets.
        return JSONResponse(faults.reshape(copy.deepcopy(body)))
    return JSONResponse(body)


def _whole_number(query: QueryParams, name: str, default: int, least: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
        raise HTTPException(400, f"{name} must be a whole number of at least {least}.")
    return int(text)


def _updated_since(query: QueryParams) -> datetime | None:
    text = query.get("updated_since")
    if text is None:
        return None
    try:
        # A `+` that the client did not encode arrives as a space.
        return _moment(text.replace(" ", "+"))
    except ValueError:
        raise HTTPException(400, "updated_since must be an ISO 8601 timestamp.") from None


def _moment(text: str) -> datetime:
    # Python 3.10 cannot read the `Z`.
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
