"""The next page: at a path that no answer has, or under another name."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page, Tell
from faults.cases.ordinary.case import (
    Case,
    moved,
    put,
    told,
)
from faults.cases.ordinary.honest import LIMITED, NOT_PROVEN, cursor, json_link
from faults.running.stories import Story, WrongError


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


def cut_at(most: int) -> Callable[[dict[str, Any], Page], None]:
    """A page of the API has no more records than this, whatever is asked for."""

    def cut(body: dict[str, Any], page: Page) -> None:
        if len(body["data"]) > most:
            body["data"] = body["data"][:most]
            body["next"] = str(most)

    return cut


def tokens(body: dict[str, Any], _: Page) -> None:
    """The cursor is a text without a meaning."""
    if body.get("next"):
        body["next"] = f"eyJpZCI6{body['next']}fQ"


# More is asked for than the API sends at once, and the next page is under another name.
CAPPED = {"endpoint__params": {"limit": 100}}
CAPS: list[tuple[str, str, Any, Tell, str]] = [
    (
        "it says so",
        "cursor",
        cursor("after"),
        told(cut_at(25), put(per_page=25), moved("next", "k")),
        "after",
    ),
    (
        "a round number, and a token",
        "cursor",
        cursor("after"),
        told(cut_at(25), tokens, moved("next", "k")),
        r"after.*\bk\b",
    ),
]
# The end at the configured path, and not elsewhere.
NULLS: list[tuple[str, str, Any, Tell, str]] = [
    (
        "next_cursor",
        "cursor",
        cursor("next"),
        told(moved("next", "next_cursor"), put(next=None)),
        "next_cursor",
    ),
    (
        "links.next_page",
        "link",
        json_link("links.next"),
        told(
            moved("next", "links.next_page"),
            lambda body, _: body.setdefault("links", {}).update(next=None),
        ),
        "next_page",
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
            f"a page that the API caps: {name}",
            first_page_alone(wrong, says),
            style,
            False,
            tell,
            CAPPED,
            rows=60,
        )
        for name, style, wrong, tell, says in CAPS
    ),
    *(
        Case(f"null, and another name: {name}", first_page_alone(wrong, says), style, tell=tell)
        for name, style, wrong, tell, says in NULLS
    ),
]
