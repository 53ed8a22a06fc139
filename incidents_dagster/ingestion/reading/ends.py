"""What each kind of paginator knows about its pages: how the list ended, and what a total counts.

One function per question, one implementation per kind, including dlt's own paginators, which a
configuration may name or dlt may guess.
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
    """The end of a list.

    Attributes:
        how: How it is known, in words.
        places: Rows of the list as the API counts them; None for as many as arrived.
        by_place: Whether pages were requested by their place and do not overlap.
        cut_off: Whether a configured maximum ended the list.
        one_page: Whether the paginator never asks for a second page.
    """

    how: str
    places: int | None = None
    by_place: bool = False
    cut_off: bool = False
    one_page: bool = False


@singledispatch
def end_of(paginator: BasePaginator, last_page_empty: bool) -> End:
    """How the list of `paginator` ended, once it has no next page."""
    return End("the API names no next page")


@end_of.register
def _(paginator: SinglePagePaginator, last_page_empty: bool) -> End:
    return End("a single page", one_page=True)


@end_of.register
def _(paginator: RangePaginator, last_page_empty: bool) -> End:
    how = "an empty page" if last_page_empty else "the number of pages"
    return End(how, by_place=True, cut_off=_at_its_maximum(paginator))


@end_of.register
def _(paginator: OffsetPaginator, last_page_empty: bool) -> End:
    return End(
        paginator.how,
        places=paginator.position - paginator.initial_value,
        by_place=not paginator.overlapping,
        cut_off=paginator.how == "maximum_offset" or _at_its_maximum(paginator),
    )


@singledispatch
def total_is(paginator: BasePaginator, total_path: str) -> TotalIs:
    """How the total at `total_path` relates to the rows of `paginator`."""
    return TotalIs.EXACT


@total_is.register
def _(paginator: BaseReferencePaginator, total_path: str) -> TotalIs:
    return TotalIs.ABOUT


@total_is.register
def _(paginator: RangePaginator, total_path: str) -> TotalIs:
    return TotalIs.PAGES if str(paginator.total_path) == total_path else TotalIs.ABOUT


@total_is.register
def _(paginator: OffsetPaginator, total_path: str) -> TotalIs:
    return TotalIs.AT_MOST


@singledispatch
def rows_in_all(paginator: BasePaginator | None, told: int | None) -> int | None:
    """How many records the list has: as the paginator read it, else `told`."""
    return told


@rows_in_all.register
def _(paginator: OffsetPaginator, told: int | None) -> int | None:
    return paginator.total


@singledispatch
def overlaps(paginator: BasePaginator | None) -> bool:
    """Whether each page so far began where the previous one ended, which shows any repetition."""
    return False


@overlaps.register
def _(paginator: OffsetPaginator) -> bool:
    return paginator.overlapping


@singledispatch
def names_its_pages(paginator: BasePaginator) -> bool:
    """Whether the API names the next page, so that only the request shows if that is a place."""
    return True


@names_its_pages.register
def _(paginator: RangePaginator) -> bool:
    return False


def _at_its_maximum(paginator: RangePaginator) -> bool:
    return (
        paginator.maximum_value is not None and paginator.current_value >= paginator.maximum_value
    )
