"""Evidence has to be seen: paths that no answer has, partial answers, honest last pages."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page, Tell
from faults.cases.ordinary.case import (
    Case,
    change,
    moved,
    omitted_last,
    put,
    told,
)
from faults.running.stories import Story, WrongError

NOT_PROVEN = "unproven|red"


def cursor(path: str) -> dict[str, Any]:
    """A paginator's settings."""
    return {"type": "cursor", "cursor_path": path, "cursor_param": "after"}


def json_link(path: str) -> dict[str, Any]:
    """A paginator's settings."""
    return {"type": "json_link", "next_url_path": path}


def in_body_instead(body: dict[str, Any], page: Page) -> None:
    """The link that the header had."""
    if link := page.headers.pop("Link", ""):
        body["next_url"] = link[1:].partition(">")[0]


# Name, style, how the API tells it, the right paginator, a wrong one, what the message names.
WRONG_PATHS: list[tuple[str, str, Tell | None, Any, Any, str]] = [
    (
        "cursor, pagination_meta.next for pagination_meta.after",
        "cursor",
        told(moved("next", "pagination_meta.after")),
        cursor("pagination_meta.after"),
        cursor("pagination_meta.next"),
        r"pagination_meta\.next.*pagination_meta\.after",
    ),
    (
        "cursor, after for pagination_meta.after",
        "cursor",
        told(moved("next", "pagination_meta.after")),
        cursor("pagination_meta.after"),
        cursor("after"),
        r"after.*pagination_meta\.after",
    ),
    (
        "json_link, next for links.next",
        "link",
        told(moved("next", "links.next")),
        json_link("links.next"),
        json_link("next"),
        r"next.*links\.next",
    ),
    (
        "json_link, paging.next for next",
        "link",
        None,
        json_link("next"),
        json_link("paging.next"),
        r"paging\.next",
    ),
    (
        "header_link, following for next",
        "link in a header",
        None,
        {"type": "header_link"},
        {"type": "header_link", "links_next_key": "following"},
        "following",
    ),
    (
        "header_link, while next_url is in the body",
        "link in a header",
        told(in_body_instead),
        json_link("next_url"),
        {"type": "header_link"},
        "next_url",
    ),
    (
        "next in the body, beside single_page",
        "cursor",
        None,
        cursor("next"),
        {"type": "single_page"},
        "next",
    ),
    (
        "next in the body, beside header_cursor",
        "cursor",
        told(moved("next", "meta.next_cursor")),
        cursor("meta.next_cursor"),
        {"type": "header_cursor", "cursor_key": "next", "cursor_param": "after"},
        r"meta\.next_cursor",
    ),
]


def first_page_alone(wrong: Any, says: str) -> Callable[[Story], None]:
    """A first sync that reads one page of four."""

    def story(story: Story) -> None:
        story.configure(client__paginator=wrong)
        story.sync(NOT_PROVEN, says)
        story.sync(NOT_PROVEN, mode="reconcile")

    return story


def fuller_table(right: Any, wrong: Any) -> Callable[[Story], None]:
    """The table has all rows, and then the setting is mistyped."""

    def story(story: Story) -> None:
        story.configure(client__paginator=right, deleted_share=1.0)
        story.loaded()
        story.configure(client__paginator=wrong)
        story.sync("proven|unproven|red")  # of one record, with which a total may agree
        for mode in ("full_refresh", "reconcile"):
            story.sync(NOT_PROVEN, mode=mode)
        if len(story.table()) != len(story.api.rows):
            lost = len(story.api.rows) - len(story.table())
            raise WrongError(f"{lost} rows that are there are marked as deleted")
        story.configure(client__paginator=right)
        story.sync()

    return story


def honest(story: Story) -> None:
    """A first sync, one of nothing new, one of a change, a full one: all proven, none warns."""
    story.sync()
    story.sync()
    change(story, 3)
    story.sync()
    story.quiet(story.run(mode="reconcile"))


def vouched(story: Story) -> None:
    """No sign is left; the message names the setting by which the user vouches for it."""
    story.sync("unproven", "accept_unproven")
    story.configure(accept_unproven=True)
    run = story.run("accepted", "accept")
    if not run.materialized:
        raise WrongError("accepted, and it does not count for freshness")


def not_proven(says: str = "") -> Callable[[Story], None]:
    """A first sync; then a full one, that marks nothing."""

    def story(story: Story) -> None:
        story.sync(NOT_PROVEN, says)
        story.sync(NOT_PROVEN, mode="full_refresh")

    return story


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
    "timed_out false, _shards.failed 0": told(
        put(timed_out=False, _shards={"total": 5, "failed": 0}, partial=False, truncated=0)
    ),
}


def with_fields(story: Story) -> None:
    """Records have fields of these names, which say nothing about the answer."""
    for row in story.api.rows:
        row |= {"partial": True, "truncated": 3, "timed_out": True, "next": "x", "total": 900}
    honest(story)


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


LIMITED = {"endpoint__params": {"limit": 10}}
CASES = [
    *(
        Case(
            f"wrong path: {name}; first", first_page_alone(wrong, says), style, False, tell, LIMITED
        )
        for name, style, tell, _, wrong, says in WRONG_PATHS
    ),
    *(
        Case(f"wrong path: {name}; a fuller table", fuller_table(right, wrong), style, tell=tell)
        for name, style, tell, right, wrong, _ in WRONG_PATHS
    ),
    *(
        Case(f"wrong path: {name}; with a total", fuller_table(right, wrong), style, True, tell)
        for name, style, tell, right, wrong, _ in WRONG_PATHS[:3]
    ),
    *(
        Case(
            f"honest: {what} omitted on the last page of {count}",
            honest,
            style,
            total,
            told(omitted_last("next")),
            LIMITED,
            rows=rows,
        )
        for what, style in (("cursor", "cursor"), ("link", "link"))
        for count, rows, total in (
            ("four", 35, False),
            ("one, a short one", 7, False),
            ("one, with a total", 10, True),
        )
    ),
    Case(
        "honest: links is there, and empty",
        honest,
        "link",
        tell=told(
            omitted_last("next"),
            lambda body, _: body.setdefault("links", {}),
            moved("next", "links.next"),
        ),
        settings={**LIMITED, "client__paginator": json_link("links.next")},
        rows=10,
    ),
    Case(
        "honest: no link in the header of one short page",
        honest,
        "link in a header",
        settings=LIMITED,
        rows=7,
    ),
    Case("honest: no total, though the defaults are spelled out", honest, "cursor"),
    Case(
        "honest: more is false on the only page",
        honest,
        "cursor",
        tell=told(omitted_last("next"), lambda body, page: body.update(more=not page.last)),
        settings=LIMITED,
        rows=10,
    ),
    *(
        Case(f"no sign left: {style}", vouched, style, tell=told(omitted_last("next")), rows=10)
        for style in ("cursor", "link", "link in a header")
    ),
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
