"""Honest lists, whose next page is left out at the end; and those that give no sign of it."""

from collections.abc import Callable
from typing import Any

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
LIMITED = {"endpoint__params": {"limit": 10}}


def cursor(path: str) -> dict[str, Any]:
    """A paginator's settings."""
    return {"type": "cursor", "cursor_path": path, "cursor_param": "after"}


def json_link(path: str) -> dict[str, Any]:
    """A paginator's settings."""
    return {"type": "json_link", "next_url_path": path}


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


CASES = [
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
        "honest: null, and names that say nothing",
        honest,
        "cursor",
        tell=told(
            omitted_last("next"),
            lambda body, page: (
                page.last and body.update(next=None, next_page_params={}, next_cursor="")
            ),
        ),
        settings=LIMITED,
    ),
    Case(
        "honest: 25 records, and a request's id",
        honest,
        "cursor",
        tell=told(omitted_last("next"), put(request_id="a8f03e2c91")),
        settings={"endpoint__params": {"limit": 30}},
        rows=25,
    ),
    Case(
        "honest: names in another script",
        honest,
        "cursor",
        True,
        told(moved("next", "страница.следующая"), moved("total", "итого"), moved("data", "данные")),
        {
            "client__paginator": cursor("страница.следующая"),
            "completeness__total_path": "итого",
            "endpoint__data_selector": "данные",
        },
    ),
]
