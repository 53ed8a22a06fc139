"""An incident API on loopback that tells the truth page by page, unless a case tells it otherwise.

For what the demo API does not have: every paginator of rest_api, and answers down to the byte.
Where it says nothing else, an answer is `{"data": [...], "total": N}` and what the style adds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from faults.loopback import HOST, OnLoopback

PATH = "/v1/incidents"
PAGE_ROWS = 100
# A sync that asks more often than this does not end by itself.
MOST_REQUESTS = 100_000
# style → rest_api's paginator setting for it
PAGINATORS: dict[str, dict[str, Any] | str] = {
    "offset": {"type": "offset", "limit": PAGE_ROWS, "total_path": ""},
    "offset and total": {"type": "offset", "limit": PAGE_ROWS, "total_path": "total"},
    "offset and more": {
        **{"type": "offset", "limit": PAGE_ROWS, "total_path": "", "has_more_path": "more"}
    },
    "page number": {"type": "page_number", "base_page": 1, "total_path": ""},
    "page number and pages": {"type": "page_number", "base_page": 1, "total_path": "pages"},
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
    "cursor in a header": {"type": "header_cursor", "cursor_key": "next", "cursor_param": "cursor"},
    "link": {"type": "json_link", "next_url_path": "next"},
    "link in a header": {"type": "header_link"},
    "single page": {"type": "single_page"},
    "auto": "auto",
}


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


def incident(number: int, version: int = 1, **fields: Any) -> dict[str, Any]:
    """An incident as an API has it; a later version is a day younger and says so in `status`."""
    created = datetime(2026, 10, 1, number // 60 % 24, number % 60, tzinfo=timezone.utc)
    updated = created + timedelta(days=version)
    return {
        "id": f"INC-{number:04}",
        "status": f"version {version}",
        "created_at": created.isoformat(),
        "updated_at": updated.isoformat(),
        "title": f"Incident {number}",
        "service": {"id": "svc-1", "name": "Checkout"},
        "tags": ["a", "b"],
        **fields,
    }


class Pages(OnLoopback):
    """The server, as a context manager.

    Attributes:
        style: A name of `PAGINATORS`: how one page leads to the next.
        rows: The source. A record that is not an object, or has no usable time, passes every
            filter.
        tell: Gets each good answer as a `Page` and returns the JSON value, or bytes, to send.
        served: Each request since the last `clear`, with the bytes of its answer.
    """

    def __init__(self, style: str = "offset", page_rows: int = PAGE_ROWS) -> None:
        self.style = style
        self.page_rows = page_rows
        self.rows: list[Any] = []
        self.tell: Tell = truth
        self.served: list[tuple[Page, bytes]] = []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = dict(parse_qsl(url.query, keep_blank_values=True))
                status, headers, sent = pages._answer(url.path, query, dict(self.headers))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer((HOST, 0), Handler)
        server.daemon_threads = True
        super().__init__(server)

    def _answer(
        self, path: str, query: dict[str, str], heard: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        if path != PATH:
            return 404, {}, b'{"error": "There is nothing at this path."}'
        if len(self.served) >= MOST_REQUESTS:
            return 403, {}, b'{"error": "This walk does not end."}'
        try:
            page = self._page(query)
        except ValueError:
            return 400, {}, b'{"error": "A parameter is wrong."}'
        page.heard = {name.lower(): value for name, value in heard.items()}
        told = self.tell(page)
        sent = told if isinstance(told, bytes) else as_json(told)
        self.served.append((page, sent))
        return page.status, {"Content-Type": "application/json", **page.headers}, sent

    def _page(self, query: dict[str, str]) -> Page:
        rows = [row for row in self.rows if _since(row, query.get("updated_since"))]
        total, limit = len(rows), int(query.get("limit", self.page_rows))
        if self.style.startswith("offset"):
            at = int(query.get("offset", 0))
        elif self.style.startswith("page number"):
            at = (int(query.get("page", 1)) - 1) * limit
        else:
            at = int(query.get("cursor", "c0").removeprefix("c"))
        if at < 0 or limit < 1:
            raise ValueError
        if self.style == "single page":
            limit = max(total, 1)
        end = at + limit
        last = end >= total
        page = Page(round(at / limit) + 1, last, query, rows, {"data": rows[at:end]})
        follows = None if last else {**query, "cursor": f"c{end}"}
        link = follows and f"{self.base_url}{PATH}?{urlencode(_keyless(follows))}"
        if self.style == "offset and more":
            page.body["more"] = not last
        elif self.style == "page number and pages":
            page.body["pages"] = -(-total // limit)
        elif self.style == "cursor":
            page.body["next"] = follows and follows["cursor"]
        elif self.style in ("link", "auto"):
            page.body["next"] = link
        elif self.style == "cursor in a header" and follows:
            page.headers["next"] = follows["cursor"]
        elif self.style == "link in a header" and link:
            page.headers["Link"] = f'<{link}>; rel="next"'
        page.body["total"] = total
        return page


def _keyless(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name != "api_key"}


def _since(row: Any, since: str | None) -> bool:
    if since is None or not isinstance(row, dict):
        return True
    try:
        return moment(row.get("updated_at")) >= moment(since.replace(" ", "+"))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return True


def moment(text: Any) -> datetime:
    """An ISO 8601 time, in UTC where it names no zone; raises ValueError, as json readers do."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 has no Z
    found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return found.astimezone(timezone.utc)


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
