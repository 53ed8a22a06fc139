"""Evidence that an API gave earlier and gives no more, and links in other spellings."""

from collections.abc import Callable
from typing import Any

from fakes.incident_pages import Page, Tell
from faults.cases.ordinary.case import Case, change, moved, told
from faults.cases.ordinary.honest import NOT_PROVEN, cursor, honest, json_link
from faults.running.stories import Story

INCREMENTAL = {"cursor_path": "updated_at", "start_param": "updated_since", "lag": 3600}


def without(name: str) -> Callable[[dict[str, Any], Page], None]:
    """The body has no such field, and the headers no link."""

    def drop(body: dict[str, Any], page: Page) -> None:
        body.pop(name, None)
        page.headers.pop("Link", None)

    return drop


def self_alone(body: dict[str, Any], _: Page) -> None:
    """Links, but none to a next page."""
    body.pop("next", None)
    body["links"] = {"self": "/v1/incidents"}


def gone(later: Tell) -> Callable[[Story], None]:
    """The list is read to its end, and later the API names no next page any more."""

    def story(story: Story) -> None:
        tell = story.api.tell
        story.configure(deleted_share=1.0)
        story.loaded()
        story.api.tell = later
        story.sync(NOT_PROVEN, mode="full_refresh")
        story.sync(NOT_PROVEN, mode="reconcile")
        story.api.tell = tell
        story.sync()

    return story


def gone_while_incremental(later: Tell) -> Callable[[Story], None]:
    """More than a page has changed, and the API does not say so."""

    def story(story: Story) -> None:
        tell = story.api.tell
        story.configure(endpoint__incremental=INCREMENTAL)
        story.loaded(2)
        story.api.tell = later
        change(story, *range(15))
        story.sync(NOT_PROVEN)
        story.api.tell = tell
        story.sync()

    return story


def quiet_while_incremental(story: Story) -> None:
    """The path is left out on the only page, which is not full, as it is at the end of a list."""
    story.configure(endpoint__incremental=INCREMENTAL)
    story.loaded(2)
    for hour in range(3):
        change(story, 1 + hour, at=2_000 + hour)
        story.sync()


def itself(*evidence: Callable[[dict[str, Any], Page], None]) -> Tell:
    """The last page names itself as the next one."""

    def name_itself(body: dict[str, Any], page: Page) -> None:
        if page.last:
            body["next"] = page.query.get("after")

    return told(name_itself, *evidence)


def no_more(body: dict[str, Any], page: Page) -> None:
    """Says whether more follow."""
    body["more"] = not page.last


def falls(body: dict[str, Any], page: Page) -> None:
    """The total is that of a part of the list from the second page on, which ends there."""
    body["total"] = len(page.rows)
    if page.number > 1:
        body["total"] = 20
        body["next"] = None


def total_falls(story: Story) -> None:
    """The table is full when the total falls in the middle of a read."""
    tell = story.api.tell
    story.configure(deleted_share=1.0)
    story.loaded()
    story.api.tell = told(falls)
    for mode in ("full_refresh", "reconcile"):
        story.sync(NOT_PROVEN, mode=mode)
    story.api.tell = tell
    story.sync()


def linked(before: str, after: str) -> Tell:
    """The header Link says `after` instead of `before`."""

    def respell(_: dict[str, Any], page: Page) -> None:
        if link := page.headers.pop("Link", ""):
            page.headers["Link"] = link.replace(before, after)

    return told(respell)


def first_and_last(_: dict[str, Any], page: Page) -> None:
    """Links to the first and the last page, as well."""
    link = page.headers.pop("Link", "")
    last = -(-len(page.rows) // 10)
    ends = [
        f'<http://127.0.0.1/x?page={n}>; rel="{rel}"' for n, rel in ((1, "first"), (last, "last"))
    ]
    page.headers["Link"] = ", ".join(filter(None, [link, *ends]))


def red_or_unproven(says: str) -> Callable[[Story], None]:
    """The end is not believed."""

    def story(story: Story) -> None:
        story.sync(NOT_PROVEN, says)
        story.sync(NOT_PROVEN, mode="reconcile")

    return story


META = told(moved("next", "meta.after"))
LINKS = told(moved("next", "links.next"))
SOURCES: list[tuple[str, str, Tell | None, Any, Tell]] = [
    ("a cursor's object", "cursor", META, cursor("meta.after"), told(without("next"))),
    ("a link among others", "link", LINKS, json_link("links.next"), told(self_alone)),
    ("a header", "link in a header", None, {"type": "header_link"}, told(without("next"))),
]
CASES = [
    *(
        Case(name, story, style, tell=tell, settings={"client__paginator": paging})
        for what, style, tell, paging, later in SOURCES
        for name, story in (
            (f"gone: {what}", gone(later)),
            (f"gone: {what}, while incremental", gone_while_incremental(later)),
            (f"honest: {what}, left out at the end, while incremental", quiet_while_incremental),
        )
    ),
    *(
        Case(
            f"a Link with {after}",
            red_or_unproven("rel="),
            "link in a header",
            tell=linked('rel="next"', after),
        )
        for after in (
            'rel="Next"',
            'rel="next last"',
            'Rel="next"',
            'rel="next-page"',
            'rel="https://api.example/rels/next"',
        )
    ),
    Case(
        "gone: a page that the API caps",
        gone(told(without("next"))),
        "cursor",
        settings={"endpoint__params": {"limit": 100}},
    ),
    *(
        Case(f"a total that falls: {style}", total_falls, style, True)
        for style in ("cursor", "link")
    ),
    Case(
        "honest: the last page names itself, more is false", honest, "cursor", tell=itself(no_more)
    ),
    Case("honest: the last page names itself, with a total", honest, "cursor", True, itself()),
    Case(
        "the last page names itself", red_or_unproven("already been read"), "cursor", tell=itself()
    ),
    Case(
        "a Link with first and last, and a mistyped key",
        red_or_unproven("nextt"),
        "link in a header",
        tell=told(first_and_last),
        settings={"client__paginator": {"type": "header_link", "links_next_key": "nextt"}},
    ),
    Case(
        "honest: a Link with first and last",
        lambda story: story.loaded(2),
        "link in a header",
        tell=told(first_and_last),
    ),
    Case(
        "honest: a Link with first and last of one page",
        lambda story: story.sync(),
        "link in a header",
        tell=told(first_and_last),
        rows=7,
    ),
]
