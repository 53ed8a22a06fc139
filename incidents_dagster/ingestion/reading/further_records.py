"""Whether a list that seems to be at its end may have further records.

`next_page` and `partial` know what responses say; here is what follows from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from requests import Response

from incidents_dagster.ingestion.reading import counts
from incidents_dagster.ingestion.reading.ends import End
from incidents_dagster.ingestion.reading.envelope import Envelope
from incidents_dagster.ingestion.reading.named_paths import NamedPath
from incidents_dagster.ingestion.reading.next_page import Around, nearest
from incidents_dagster.ingestion.reading.page_size import Asked
from incidents_dagster.ingestion.reading.pages import Pages


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
    read: ListRead, pages: Pages, next_page: NamedPath | None, named: Iterable[NamedPath]
) -> Iterator[tuple[NamedPath | None, str]]:
    """Why the list may have further records.

    Args:
        read: The list.
        pages: Which paths its responses, and those of other lists, have had.
        next_page: Where the paginator looks for the next page; None if it does not.
        named: The paths of `[completeness]` that the configuration names.

    Yields:
        The path that the doubt is about, if seeing it elsewhere would settle it, and the doubt.
    """
    response, asked, total = read.response, read.asked, read.total
    seen = next_page is not None and pages.has_seen(next_page)
    around = Around.of(response, read.envelope, asked, read.rows, read.pages)
    # An API that reports no total has none in its headers, either.
    if total is None and read.envelope.total_path:
        total = counts.in_header(response)
    yield from ((None, why) for why in _doubts_by_number(read, around, total))
    # An API that does not say whether there are more has other flags by these names.
    flagged = around.flagged and bool(read.envelope.more_path)
    full = asked.is_full(read.rows, around.values)
    most = pages.most_with(next_page) if next_page else 0
    cut = 0 < most <= read.rows  # as full as pages that had a next one
    shorter = read.rows < most or (asked.size is not None and read.rows < asked.size)
    short = not read.rows or (shorter and not (full or cut or around.token))
    there = next_page is not None and next_page.is_in(response)
    # Null is no end beside what is called next; nor of a full page, beside what may be so.
    no_end = there and bool(around.more) and (around.named or (full and read.pages == 1))
    if next_page and not there and around.more and (seen or flagged):
        yield None, f"the last response lacks {next_page}, but there is {around.more}"
    elif next_page and (flagged or no_end):
        yield None, f"the list ends, but there is {around.more}"
    elif next_page and not seen and read.pages == 1:
        # A page that may be full needs a sign in the response itself.
        shown = short or total == read.counted
        why = around.why_unproven(next_page, response, shown, cut)
        if why and (around.more or cut or not pages.may_lack(next_page)):
            yield next_page, why
    if read.pages > 1 or not short:
        for path in (p for p in named if not (pages.has_seen(p) or pages.may_lack(p))):
            yield path, f"no response has {path}{nearest(path, around)}"
    if read.end.one_page and around.more:
        yield None, f"the paginator asks for one page, but there is {around.more}"
    elif read.end.one_page and full and read.rows and total != read.counted:
        yield None, f"the paginator asks for one page, and it is full, with {read.rows:,} records"
    elif "next" in response.links and not read.end.names_pages:
        yield None, 'the last response has the header Link with rel="next"'


def _doubts_by_number(read: ListRead, around: Around, total: int | None) -> Iterator[str]:
    """What counts more records than came; `total` may be that of a header."""
    in_range = counts.in_range(read.response)
    if in_range is not None and in_range > read.counted:
        yield f"the header Content-Range says that there are {in_range:,} records in all"
    elif read.total is None and total is not None and total > read.counted:
        yield f"a header says that there are {total:,} records in all ({counts.IF_OTHERS})"
    least = [path for path, value in around.values.items() if value == "gte"]
    if least and total == read.counted:  # Elasticsearch counts to 10,000
        yield f"{least[0]} is gte, so there may be more records than the total says"
