"""What each kind of paginator knows about its list: how it ends, and what a total counts.

One implementation per kind, including dlt's own paginators, which a configuration may name or dlt
may guess.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import singledispatch

from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    BaseReferencePaginator,
    RangePaginator,
    SinglePagePaginator,
)

from incidents_dagster.ingestion.reading.paginators import OffsetPaginator


class TotalIs(Enum):
    """How a total relates to the rows that arrived; incidents come and go while pages are read.

    Attributes:
        EXACT: It equals them, as one page shows one moment.
        ABOUT: More may arrive, as a record that changes meanwhile may arrive twice.
        AT_MOST: More may arrive, as a total that is far too small counts something else.
        PAGES: It counts pages.
    """

    EXACT = "exact"
    ABOUT = "about"
    AT_MOST = "at most"
    PAGES = "pages"

    def fits(self, totals: list[int], counted: int) -> bool:
        """Whether the totals of the pages, in their order, agree with `counted` rows."""
        return FITS[self](totals, counted)


FITS: dict[TotalIs, Callable[[list[int], int], bool]] = {
    TotalIs.EXACT: lambda totals, counted: totals[-1] == counted,
    TotalIs.ABOUT: lambda totals, counted: min(totals) <= counted >= max(totals) / 2,
    TotalIs.AT_MOST: lambda totals, counted: totals[-1] <= counted,
    TotalIs.PAGES: lambda totals, counted: True,
}


@dataclass(frozen=True)
class End:
    """What a paginator knows about the end of its list; `how` and `cut_off` once it is there.

    Attributes:
        how: How the end is known, in words.
        total_is: How a total relates to the rows.
        total: Rows of the list, if the paginator reads that itself.
        places: Rows of the list as the API counts them; None for as many as arrived.
        by_place: Whether pages were requested by their place and do not overlap.
        overlapping: Whether each page began where the previous one ended, which shows repetitions.
        names_pages: Whether the API names the next page; only its requests tell if by place.
        one_page: Whether the paginator never asks for a second page.
        cut_off: Whether a configured maximum ended the list.
    """

    how: str
    total_is: TotalIs = TotalIs.EXACT
    total: int | None = None
    places: int | None = None
    by_place: bool = False
    overlapping: bool = False
    names_pages: bool = True
    one_page: bool = False
    cut_off: bool = False


@singledispatch
def end_of(paginator: BasePaginator, total_path: str, last_page_empty: bool) -> End:
    """What `paginator` knows about the end of its list.

    Args:
        paginator: Of any kind; the API names the next page unless the kind says otherwise.
        total_path: JSONPath to the total in a response.
        last_page_empty: Whether the latest page had no record.
    """
    return End("the API names no next page")


@end_of.register
def _(paginator: BaseReferencePaginator, total_path: str, last_page_empty: bool) -> End:
    return End("the API names no next page", TotalIs.ABOUT)


@end_of.register
def _(paginator: SinglePagePaginator, total_path: str, last_page_empty: bool) -> End:
    return End("a single page", one_page=True)


@end_of.register
def _(paginator: RangePaginator, total_path: str, last_page_empty: bool) -> End:
    return End(
        "an empty page" if last_page_empty else "the number of pages",
        TotalIs.PAGES if str(paginator.total_path) == total_path else TotalIs.ABOUT,
        by_place=True,
        names_pages=False,
        cut_off=_at_its_maximum(paginator),
    )


@end_of.register
def _(paginator: OffsetPaginator, total_path: str, last_page_empty: bool) -> End:
    return End(
        paginator.how,
        TotalIs.AT_MOST,
        paginator.total,
        places=paginator.position - paginator.initial_value,
        by_place=not paginator.overlapping,
        overlapping=paginator.overlapping,
        names_pages=False,
        cut_off=paginator.how == "maximum_offset" or _at_its_maximum(paginator),
    )


def _at_its_maximum(paginator: RangePaginator) -> bool:
    return (
        paginator.maximum_value is not None and paginator.current_value >= paginator.maximum_value
    )
