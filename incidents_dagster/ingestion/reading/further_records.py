"""Whether a list that seems to be at its end may have further records.

`next_page` and `partial` know what responses say; here is what follows from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from requests import Response

from incidents_dagster.ingestion.reading.ends import End
from incidents_dagster.ingestion.reading.envelope import Envelope
from incidents_dagster.ingestion.reading.next_page import Around, Asked, NamedPath, nearest
from incidents_dagster.ingestion.reading.partial import total_in_headers


@dataclass(frozen=True)
class ListRead:
    """A list that has been read to its end.

    Attributes:
        response: The last one.
        envelope: Has checked it.
        end: How the paginator knows the end.
        asked: What the first request asked for.
        pages: How many there were.
        rows: How many records came.
        counted: Records of the list as the API counts them.
        total: How many records there are in all, as the API reports; None if it does not.
    """

    response: Response
    envelope: Envelope
    end: End
    asked: Asked
    pages: int
    rows: int
    counted: int
    total: int | None


def doubts_about(
    read: ListRead, next_page: NamedPath | None, named: Iterable[NamedPath]
) -> Iterator[tuple[NamedPath | None, str]]:
    """Why the list may have further records.

    Args:
        read: The list.
        next_page: Where the paginator looks for the next page; None if a response has had it.
        named: The paths of `[completeness]` that no response has had.

    Yields:
        The path that the doubt is about, if it is about one, and the doubt.
    """
    response, asked, total = read.response, read.asked, read.total
    around = Around.of(response, read.envelope.where, asked, read.rows, read.pages)
    # An API that reports no total has none in its headers, either.
    in_headers = total_in_headers(response) if read.envelope.total_path else None
    if total is None and in_headers is not None:
        total = in_headers
        if in_headers > read.counted:
            yield None, f"a header says that there are {in_headers:,} records in all"
    short = not read.rows or (asked.size is not None and read.rows < asked.size)
    if next_page and read.pages == 1:
        shown = short or total == read.counted
        if why := around.why_unproven(next_page, response, shown):
            yield next_page, why
    if read.pages > 1 or not short:
        for path in named:
            yield path, f"no response has {path}{nearest(path, around)}"
    if read.end.one_page and around.more:
        yield None, f"the paginator asks for one page, but there is {around.more}"
    elif "next" in response.links and not read.end.names_pages:
        yield None, 'the last response has the header Link with rel="next"'
