"""Evidence has to be seen: totals, an order that is not stable, the first page of all."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page
from faults.cases.ordinary.case import (
    Case,
    moved,
    told,
)
from faults.cases.ordinary.honest import LIMITED, NOT_PROVEN, honest, not_proven
from faults.running.stories import Story


def unstable(every: bool) -> Callable[[Story], None]:
    """One record comes again on the next page, and another one not at all."""

    def story(story: Story) -> None:
        left = [1] if not every else [1] * 100

        def skip(body: dict[str, Any], page: Page) -> None:
            if page.number == 2 and left and len(body["data"]) == 10:
                left.pop()
                body["data"] = [page.rows[9], *body["data"][1:]]

        story.api.tell = told(skip)
        story.sync(NOT_PROVEN if every else "proven|unproven|red")
        story.api.tell = told()
        story.sync()

    return story


def base_page(story: Story) -> None:
    """The first page that is asked for is the API's second."""
    story.sync("proven|unproven|red")
    story.sync("proven|unproven|red", mode="reconcile")


def refuse_page_zero(body: dict[str, Any], page: Page) -> None:
    """Pages count from one, and the page before that is an error."""
    if page.query.get("page") == "0":
        page.status = 404
        body.clear()
        body["error"] = "there is no page 0"


def page_zero_is_one(body: dict[str, Any], page: Page) -> None:
    """Pages count from one, and the page before that is the first one, too."""
    if page.query.get("page") == "0":
        body["data"] = page.rows[:10]


CASES = [
    Case(
        "total_path that no answer has",
        not_proven("total_count"),
        "offset",
        True,
        told(moved("total", "meta.total")),
        {"completeness__total_path": "meta.total_count"},
    ),
    Case(
        "more_path that no answer has",
        not_proven("has_more"),
        "cursor",
        tell=told(lambda body, page: body.update(more=not page.last)),
        settings={"completeness__more_path": "has_more"},
    ),
    Case(
        "total_path that no answer has, page numbers",
        not_proven("count"),
        "page number",
        settings={"completeness__total_path": "meta.count"},
    ),
    *(
        Case(f"a record again, another not, {how}: {style}", unstable(every), style)
        for style in ("cursor", "link", "page number")
        for how, every in (("once", False), ("always", True))
    ),
    *(
        Case(
            f"base_page 1 for 0: {style}{', a total' if total else ''}",
            base_page,
            style,
            total,
            settings=LIMITED,
            first_page=0,
        )
        for style in ("page number", "page number and pages")
        for total in (False, True)
    ),
    Case(
        "base_page 2 for 1",
        base_page,
        "page number",
        settings={"client__paginator__base_page": 2, **LIMITED},
    ),
    Case(
        "base_page 1, and page 0 is an error",
        honest,
        "page number",
        tell=told(refuse_page_zero),
        settings=LIMITED,
    ),
    Case(
        "base_page 1, and page 0 is page 1",
        honest,
        "page number",
        tell=told(page_zero_is_one),
        settings=LIMITED,
    ),
]
