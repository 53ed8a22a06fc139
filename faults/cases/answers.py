"""The answers that lie: what is told otherwise, by which paginator, and what has to come of it.

The good answers are `pages`', the bad records `records`'.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fakes.incident_pages import Page, Tell, truth
from fakes.incidents import incident
from fakes.paginators import PAGINATORS

SOURCE = [incident(n, version=2) for n in range(1, 251)]
# Two incidents twice, once the older version first and once the newer.
TWICE = [*SOURCE[:120], incident(150), *SOURCE[120:], incident(60)]


@dataclass(frozen=True)
class Case:
    """One way to lie.

    Attributes:
        name: `kind: detail`, or the kind alone.
        tell: Makes the answers bad.
        style: How the API pages, a name of `fakes.paginators.PAGINATORS`.
        first: Tried as the first sync, into no database; else into one that has an older state.
        must: What has to come of it, where `right` and `red` are not both acceptable.
        settings: Of `[sources.incidents]`, on top.
        rows: The source.
    """

    name: str
    tell: Tell = truth
    style: str = "offset"
    first: bool = False
    must: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=lambda: SOURCE)


def on(number: int, change: Callable[[Page], Any]) -> Tell:
    """Tells one page as `change` does, and the truth on all others."""
    return lambda page: change(page) if page.number == number else page.body


def put(**fields: Any) -> Tell:
    """Tells the truth with `fields` on top."""
    return lambda page: {**page.body, **fields}


def without(name: str) -> Tell:
    """Tells the truth without a field."""
    return lambda page: {key: value for key, value in page.body.items() if key != name}


def data(change: Callable[[list[Any]], Any]) -> Tell:
    """Tells the page's records as `change` makes them."""
    return lambda page: {**page.body, "data": change(page.body["data"])}


def total(change: Callable[[Any, Page], Any]) -> Tell:
    """Tells another total."""
    return lambda page: {**page.body, "total": change(page.body["total"], page)}


def text(change: Callable[[str], str | bytes]) -> Tell:
    """Tells the answer's JSON text as `change` makes it."""

    def tell(page: Page) -> bytes:
        changed = change(json.dumps(page.body))
        return changed if isinstance(changed, bytes) else changed.encode()

    return tell


def header(name: str, value: str, status: int = 200) -> Tell:
    """Tells the truth under another header or status."""

    def tell(page: Page) -> Any:
        page.headers[name], page.status = value, status
        return page.body

    return tell


def _again(number: int) -> Tell:
    """Tells page `number` in the place of all that follow it."""

    def tell(page: Page) -> Any:
        rows = page.rows[(number - 1) * 100 : number * 100]
        return page.body if page.number <= number else {**page.body, "data": rows}

    return tell


def _capped(rows: int, from_page: int = 1) -> Tell:
    return lambda page: data(lambda d: d[:rows])(page) if page.number >= from_page else page.body


def _ceiling(page: Page, beyond: Callable[[Page], Any]) -> Any:
    return beyond(page) if int(page.query.get("offset", 0)) + 100 > 200 else page.body


def _refused(page: Page) -> Any:
    page.status = 400
    return {"error": {"code": 2002, "message": "offset + limit exceeds 200"}}


def _linked(link: Callable[[str, Page], Any]) -> Tell:
    """Tells another next link or cursor where there is one, in the body or in a header."""

    def tell(page: Page) -> Any:
        if page.body.get("next"):
            page.body["next"] = link(page.body["next"], page)
        for name in {"next", "Link"} & page.headers.keys():
            page.headers[name] = link(page.headers[name], page)
        return page.body

    return tell


def _further(link: str) -> Tell:
    """Tells a next cursor or link on the last page, too."""

    def tell(page: Page) -> Any:
        if "next" in page.body:
            page.body["next"] = link
        return page.body

    return tell


SHAPES: dict[str, Tell] = {
    "`data` missing": without("data"),
    "`data` null": put(data=None),
    "`data` a single record": data(lambda d: d[0]),
    "`data` an object by id": data(lambda d: {row["id"]: row for row in d}),
    "`data` a text": put(data="none"),
    "`data` a number": put(data=100),
    "`data` true": put(data=True),
    "`data` one level too deep": data(lambda d: [d]),
    "`data` a list of lists": data(lambda d: [[row] for row in d]),
    "`data` a list of ids": data(lambda d: [row["id"] for row in d]),
    "`data` JSON in a text": data(json.dumps),
    "body null": lambda _: None,
    "body a list": lambda page: page.body["data"],
    "body a text": lambda _: "incidents",
    "body a number": lambda _: 1,
    "body empty": lambda _: b"",
    "body an empty object": lambda _: {},
    "body HTML": lambda _: b"<!doctype html><title>Sign in</title>",
    "body truncated": text(lambda t: t[: len(t) // 2]),
    "body without its last brace": text(lambda t: t[:-1]),
    "body two documents": text(lambda t: t + t),
    "body with a comma too many": text(lambda t: t[:-1] + ",}"),
    "body JSONP": text(lambda t: f"callback({t})"),
    "body in UTF-16": text(lambda t: t.encode("utf-16")),
    "body with a byte order mark": text(lambda t: t.encode("utf-8-sig")),
    "body not UTF-8": text(lambda t: t.replace("Checkout", "Käse").encode("latin-1")),
    "`data` given twice": text(lambda t: t[:-1] + ', "data": []}'),
    "`total` NaN": put(total=float("nan")),
    "field names in another case": lambda page: {k.upper(): v for k, v in page.body.items()},
    "one level deeper": lambda page: {"result": page.body},
    "status 204 and no body": lambda page: header("X-Empty", "1", status=204)(page) and b"",
    "an error in place of the rows": lambda _: {"error": {"code": 500, "message": "timeout"}},
    "an error beside no rows": put(data=[], error="timeout"),
    "an error beside the rows": put(error={"message": "one shard failed"}),
    "errors beside the rows": put(errors=[{"message": "one shard failed"}]),
    "errors beside half of the rows": lambda page: {
        "data": page.body["data"][::2],
        "errors": [{"message": "one shard failed"}],
    },
    "success false": put(data=[], total=0, success=False),
    "ok false": put(data=[], total=0, ok=False),
    "no rows, total kept": put(data=[]),
    "the last row missing": data(lambda d: d[:-1]),
    "the first row missing": data(lambda d: d[1:]),
    "half of the rows missing": data(lambda d: d[::2]),
    "a row in the place of another": data(lambda d: [d[0], *d[:-1]]),
    "the rows in another order": data(lambda d: d[::-1]),
}
# What a first page alone cannot give away: that there was more.
AFTER_THE_FIRST: dict[str, Tell] = {
    "no rows and no total": lambda _: {"data": []},
    "a message in place of the rows": lambda _: {"message": "rate limited", "data": []},
    "no rows, total 0": put(data=[], total=0),
}
TOTALS: dict[str, Tell] = {
    "one more": total(lambda t, _: t + 1),
    "one less": total(lambda t, _: t - 1),
    "as text": total(lambda t, _: str(t)),
    "as a float": total(lambda t, _: float(t)),
    "in words": total(lambda *_: "many"),
    "negative": total(lambda *_: -1),
    "null": total(lambda *_: None),
    "missing": without("total"),
    "true": total(lambda *_: True),
    "a list": total(lambda t, _: [t]),
    "an object": total(lambda t, _: {"value": t}),
    "0": total(lambda *_: 0),
    "the page's size": total(lambda *_: 100),
    "the page's rows": total(lambda _, page: len(page.body["data"])),
    "beyond 64 bit": total(lambda *_: 10**30),
    "that shrinks": total(lambda t, page: t - 60 * (page.number - 1)),
    "that grows": total(lambda t, page: t + 60 * (page.number - 1)),
}
PAGES: dict[str, Tell] = {
    "the first page for ever": _again(1),
    "the second page for ever": _again(2),
    "the last page again beyond the end": lambda page: (
        page.body if page.body["data"] else {**page.body, "data": page.rows[-50:]}
    ),
    "pages of 50 on limit 100": _capped(50),
    "pages of 99 on limit 100": _capped(99),
    "pages of 1 on limit 100": _capped(1),
    "pages of 50 from the second on": _capped(50, from_page=2),
    "pages of 200 on limit 100": lambda page: {
        **page.body,
        "data": page.rows[int(page.query.get("offset", 0)) :][:200],
    },
    "ceiling of 200, then no rows": lambda page: _ceiling(page, put(data=[])),
    "ceiling of 200, then 400": lambda page: _ceiling(page, _refused),
    "ceiling of 200, then its last page": lambda page: _ceiling(
        page, lambda p: {**p.body, "data": p.rows[100:200]}
    ),
    "ceiling of 200, then an error with status 200": lambda page: _ceiling(
        page, lambda _: {"error": "offset + limit exceeds 200"}
    ),
    "another order on every page": lambda page: {
        **page.body,
        "data": page.rows[:: -1 if page.number % 2 else 1][int(page.query.get("offset", 0)) :][
            :100
        ],
    },
    "endless pages of new rows": lambda page: {
        "data": [incident(page.number * 100 + n, version=2) for n in range(100)]
    },
    "endless pages of old rows in another order": lambda page: {
        "data": [page.rows[(n * (page.number + 1)) % len(page.rows)] for n in range(100)]
    },
}
LINKS: dict[str, Tell] = {
    "constant": _linked(lambda link, page: link.replace("c200", "c100")),
    "to the first page": _linked(lambda link, page: link.replace("c100", "c0")),
    "round two pages": _linked(lambda link, page: link.replace("c200", "c0")),
    "null on the first page": _linked(lambda link, page: link if page.number > 1 else ""),
    "null on the second page": _linked(lambda link, page: link if page.number < 2 else ""),
    "over a page": _linked(lambda link, page: link.replace("c100", "c200")),
    "unknown to the API": _linked(lambda link, page: link.replace("c100", "gone")),
}
CURSORS: dict[str, Tell] = {
    "missing": lambda page: without("next")(page) if page.number == 1 else page.body,
    "true": lambda page: {**page.body, "next": bool(page.body["next"])},
    "an object": lambda page: {**page.body, "next": {"after": page.body["next"]}},
    "a list": lambda page: {**page.body, "next": [page.body["next"]]},
    "for ever, the last page again": lambda page: {
        **page.body,
        "next": page.body["next"] or "c200",
    },
    "for ever, pages without rows": lambda page: {
        **page.body,
        "next": page.body["next"] or f"c{250 + int(page.query['after'][1:])}",
    },
    "for ever, and new each time, the last page again": lambda page: {
        **page.body,
        "data": page.body["data"] or page.rows[200:],
        "next": page.body["next"] or f"c{250 + int(page.query['after'][1:])}",
    },
}
MORE: dict[str, Tell] = {
    "true for ever": put(more=True),
    "false on the first page": put(more=False),
    "null": put(more=None),
    "missing": without("more"),
    "as text": lambda page: {**page.body, "more": str(page.body["more"]).lower()},
    "1 and 0": lambda page: {**page.body, "more": int(page.body["more"])},
    "true, and no rows on page 2": on(2, put(data=[])),
}


def cases() -> Iterator[Case]:
    for style in PAGINATORS:
        yield Case(f"good: {style}", style=style, must="right" if style != "auto" else None)
    for kind, tell in SHAPES.items():
        for number in (1, 2, 3):
            yield Case(f"{kind}: page {number}", on(number, tell), first=number == 1)
    for kind, tell in AFTER_THE_FIRST.items():
        for number in (2, 3):
            yield Case(f"{kind}: page {number}", on(number, tell))
    for style in ("offset", "offset and total", "single page", "cursor"):
        for kind, tell in TOTALS.items():
            yield Case(f"total {kind}: {style}", tell, style)
    for kind, tell in TOTALS.items():
        yield Case(f"total {kind}, on page 2 alone", on(2, tell), first=True)
    yield from _walks()
    yield from _links_elsewhere()
    yield Case("older versions beside the newest", rows=TWICE, must="right")
    yield Case("content type text/html", header("Content-Type", "text/html"), must="right")
    yield Case("status 206", header("Content-Range", "rows 0-99/250", status=206))
    yield Case("status 203", header("X-Via", "a proxy", status=203))


def _walks() -> Iterator[Case]:
    """What is wrong from page to page."""
    for style in ("offset", "offset and total"):
        for kind, tell in PAGES.items():
            if "endless" not in kind or style == "offset":
                yield Case(f"{kind}: {style}", tell, style)
    yield Case("a list without end", _without_end, settings={"max_minutes": 1})
    for style in ("cursor", "cursor in a header", "link", "link in a header"):
        for kind, tell in LINKS.items():
            yield Case(f"{style} {kind}", tell, style)
    for kind, tell in CURSORS.items():
        yield Case(f"cursor {kind}", tell, "cursor")
    for kind, tell in MORE.items():
        yield Case(f"more {kind}", tell, "offset and more")
    for number in (2, 3):
        for style in ("page number", "page number and pages"):
            yield Case(f"no rows on page {number}: {style}", on(number, put(data=[])), style)
            yield Case(f"page 1 again on page {number}: {style}", _again(number - 1), style)
    yield Case("pages one less", lambda p: {**p.body, "pages": 2}, "page number and pages")
    yield Case("pages missing", without("pages"), "page number and pages")
    yield Case("404 beyond the last page", _404_beyond, "page number")
    yield Case("half of the rows: single page", data(lambda d: d[:100]), "single page")
    yield Case("half of the rows: auto", data(lambda d: d[:50]), "auto")
    yield Case("no link, total kept: auto", put(next=None), "auto")


def _without_end(page: Page) -> Any:
    at = int(page.query["offset"])
    return {"data": [incident(n, version=2) for n in range(at, at + 100)]}


def _404_beyond(page: Page) -> Any:
    if not page.body["data"]:
        page.status = 404
    return page.body


def _links_elsewhere() -> Iterator[Case]:
    """A next link to where it should not lead, or spelled as few APIs do."""
    spelled: dict[str, Callable[[str], Any]] = {
        "relative to the host": lambda link: "/" + link.split("/", 3)[3],
        "a query alone": lambda link: "?" + link.split("?")[1],
        "to another port": lambda link: link.replace("127.0.0.1", "127.0.0.1:9/").split("?")[0],
        "to another host": lambda link: link.replace("127.0.0.1", "localhost"),
        "to another scheme": lambda link: link.replace("http:", "ftp:"),
        "with a user": lambda link: link.replace("127.0.0.1", "somebody@127.0.0.1"),
        "to another path": lambda link: link.replace("incidents", "services"),
        "a number": lambda _: 7,
        "an object": lambda link: {"href": link},
        "an empty text": lambda _: "",
        "no address": lambda _: "page two",
    }
    for kind, spell in spelled.items():
        yield Case(f"link {kind}", _linked(_spelled(spell)), "link")


def _spelled(spell: Callable[[str], Any]) -> Callable[[str, Page], Any]:
    return lambda link, _: spell(link)
