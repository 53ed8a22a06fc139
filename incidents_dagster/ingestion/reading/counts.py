"""How many records and pages there are, as a response says apart from the configured total.

Beside the records and in headers, by the names that public APIs use.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from requests import Response

from incidents_dagster.ingestion.reading.envelope import is_about_response
from incidents_dagster.ingestion.secrets.names import words_of

CONTENT_RANGE = re.compile(r".*/(\d+)")
PAGES = [{"pages"}, {"page", "count"}, {"total", "pages"}, {"num", "pages"}, {"last"}]
PAGES += [{"last", "page"}, {"number", "of", "pages"}]
TOTALS = {"total", "found", "hits", "count"}
OF_RECORDS = {"record", "records", "result", "results", "item", "items", "element", "elements"}
OF_RECORDS |= {"entries", "nb", "objects", "rows", "matches", "num", "number", "of", "all", "size"}
OF_HEADERS = {"x", "wp", "pagination"}
IF_OTHERS = 'if it counts others, too, set completeness.total_path = ""'


def in_range(response: Response) -> int | None:
    """How many records there are in all, by Content-Range; None if that does not say."""
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def in_header(response: Response) -> int | None:
    """How many records there are in all, by a header such as X-Total-Count; None without one."""
    totals = (v for h, v in response.headers.items() if _is_total(h) and "total" in _words(h))
    return next((int(value) for value in totals if value.isdigit()), None)


def more_than(
    rows: int | None, pages: int, around: Mapping[str, Any], response: Response
) -> dict[str, bool]:
    """What counts records or pages → whether there are more than so many.

    Args:
        rows: Records so far; None if nothing counts them.
        pages: Pages so far.
        around: Path → value beside the records.
        response: Whose headers are looked at, too.
    """
    numbers = [*_beside_records(around), *_in_headers(response)]
    found = {told: number > pages for name, told, number in numbers if _words(name) in PAGES}
    for name, told, number in numbers:
        # A count that is no more may be that of the page.
        if rows is not None and _is_total(name) and ("total" in _words(name) or number > rows):
            found[f"{told}, which is {number:,} ({IF_OTHERS})"] = number > rows
    return found


def _beside_records(around: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Each number that may count the list: its name, what a message calls it, and the number."""
    for path, value in around.items():
        name = path.removesuffix(".value")
        if type(value) is int and is_about_response(name) and "shards" not in name:
            yield name, name, value


def _in_headers(response: Response) -> Iterator[tuple[str, str, int]]:
    for name, value in response.headers.items():
        if value.isdigit():
            yield name, f"the header {name}", int(value)


def _is_total(name: str) -> bool:
    words = _words(name)
    return bool(words & TOTALS) and words <= TOTALS | OF_RECORDS


def _words(name: str) -> set[str]:
    return {*words_of(name.rpartition(".")[2])} - OF_HEADERS
