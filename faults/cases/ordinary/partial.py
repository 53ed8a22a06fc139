"""Answers that call themselves partial, and those that only seem to."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page, Tell
from faults.cases.ordinary.case import (
    Case,
    put,
    told,
)
from faults.cases.ordinary.honest import NOT_PROVEN, honest, not_proven
from faults.running.stories import Story


def half(*more: Callable[[dict[str, Any], Page], Any]) -> Tell:
    """A list that ends in its middle, and says so by `more`."""

    def cut(body: dict[str, Any], page: Page) -> None:
        body["data"] = body["data"][:20]

    return told(cut, *more)


def partial_then_whole(story: Story) -> None:
    """The table is full, then an answer calls itself partial: nothing is marked."""
    tell, story.api.tell = story.api.tell, told()
    story.configure(deleted_share=1.0)
    story.loaded()
    story.api.tell = tell
    story.sync(NOT_PROVEN, mode="full_refresh")
    story.sync(NOT_PROVEN, mode="full_refresh")
    story.api.tell = told()
    story.sync(mode="full_refresh")


def head(status: int = 200, **headers: str) -> Callable[[dict[str, Any], Page], None]:
    """Another status, or more headers."""

    def change(_: dict[str, Any], page: Page) -> None:
        page.status = status
        page.headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    return change


PARTIAL = {
    "206": half(head(206)),
    "Content-Range of a longer list": half(head(Content_Range="items 0-19/35")),
    "206 and Content-Range": half(head(206, Content_Range="records 0-19/35")),
    "X-Total-Count": half(head(X_Total_Count="35")),
    "X-Total": half(head(X_Total="35")),
    "a link to the next page": half(head(Link='<http://127.0.0.1/x?page=2>; rel="next"')),
    "timed_out": half(put(timed_out=True)),
    "_shards.failed": half(put(_shards={"total": 5, "successful": 3, "failed": 2})),
    "incomplete_results": half(put(incomplete_results=True)),
    "partial": half(put(partial=True)),
    "truncated": half(put(truncated=15)),
    "hits.total.value": half(put(hits={"total": {"value": 35, "relation": "eq"}})),
    "a lower bound": half(put(total=20, hits={"total": {"value": 20, "relation": "gte"}})),
    "X-Pagination": half(head(X_Pagination='{"TotalCount": 35, "TotalPages": 2}')),
    "X-Total-Pages": half(head(X_Total_Pages="2")),
}


def counted(_: dict[str, Any], page: Page) -> None:
    """The total is in a header, of all records that the request asks for."""
    page.headers["X-Total-Count"] = str(len(page.rows))


def ranged(_: dict[str, Any], page: Page) -> None:
    """The same as a range."""
    total = len(page.rows)
    page.headers["Content-Range"] = f"items 0-{total - 1}/{total}"


WHOLE = {
    "Content-Range of the whole list": told(ranged),
    "X-Total-Count": told(counted),
    "a quota": told(put(quota={"total": 10_000, "used": 231})),
    "counts by state": told(put(counts={"open": 31, "incomplete": 4, "partial": 1})),
    "timed_out false, _shards.failed 0": told(
        put(timed_out=False, _shards={"total": 5, "failed": 0}, partial=False, truncated=0)
    ),
}


def with_fields(story: Story) -> None:
    """Records have fields of these names, which say nothing about the answer."""
    for row in story.api.rows:
        row |= {"partial": True, "truncated": 3, "timed_out": True, "next": "x", "total": 900}
    honest(story)


CASES = [
    *(
        Case(f"partial: {name}", not_proven(), "single page", tell=tell)
        for name, tell in PARTIAL.items()
    ),
    *(
        Case(
            f"partial: {name}; a fuller table",
            partial_then_whole,
            "single page",
            tell=PARTIAL[name],
        )
        for name in ("206", "X-Total-Count", "_shards.failed", "truncated")
    ),
    *(Case(f"whole: {name}", honest, "single page", tell=tell) for name, tell in WHOLE.items()),
    *(
        Case(f"whole: fields of records, {style}", with_fields, style)
        for style in ("single page", "cursor")
    ),
]
