"""A table knows its source: another origin, a filter that goes, the demo before the own API."""

import re
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any

from fakes.incident_pages import IncidentPages, changed_since
from faults.cases.ordinary.case import Case, change, record, records
from faults.running.checkouts import Checkout
from faults.running.stories import Story, WrongError
from incidents_dagster.demo_api.server import DemoServer

LINE = r"--adopt|INCIDENTS_DUCKDB_PATH"  # the cure for a table of another source


def by_tenant(row: Any, query: dict[str, str]) -> bool:
    """Filters that leave half of the records."""
    wanted = query.get("tenant")
    return changed_since(row, query) and (wanted is None or row["tenant"] == wanted)


def with_tenants(story: Story) -> None:
    """Every second record is of another tenant."""
    for number, row in enumerate(story.api.rows):
        row["tenant"] = "ab"[number % 2]
    story.api.keeps = by_tenant


def until_equal(story: Story, most: int = 3) -> None:
    """Syncs, of which the last is proven and equal; until then, any honest word is right."""
    for _ in range(most - 1):
        with suppress(WrongError):
            story.sync()
            return
    story.sync()


def filter_removed(**removed: Any) -> Callable[[Story], None]:
    """The table has half of the incidents, then all are asked for, and some change."""

    def story(story: Story) -> None:
        with_tenants(story)
        everything = story.api.rows
        story.api.rows = everything[::2]
        story.loaded()
        story.api.rows = everything
        story.configure(**removed)
        change(story, 6)
        story.sync()
        story.sync()

    return story


def filter_added(story: Story) -> None:
    """Half of the incidents are asked for: as many are missing as deleted_share allows, or not."""
    with_tenants(story)
    everything = story.api.rows
    story.loaded()
    story.configure(endpoint__params={"tenant": "a"}, deleted_share=0.2)
    for _ in range(3):
        story.sync("red", LINE)
    story.configure(deleted_share=0.6)
    story.api.rows = everything[::2]
    until_equal(story)


def header_removed(story: Story) -> None:
    """A header that is no secret chose the tenant."""
    everything = story.api.rows
    story.api.rows = everything[::2]
    story.loaded()
    story.api.rows = everything
    story.configure(client__headers={"X-Tenant": "all"})
    story.sync()


def another_path(story: Story) -> None:
    """From a list of the open incidents to that of all."""
    everything = story.api.rows
    story.api.lists["/v1/open"] = story.api.rows = everything[::2]
    story.configure(endpoint__path="/v1/open")
    story.loaded()
    story.api.rows = everything
    story.configure(endpoint__path="/v1/incidents")
    story.sync()


def another_selector(story: Story) -> None:
    """The body has two lists."""
    everything = story.api.rows

    def tell(page: Any) -> Any:
        return {"all": page.body["data"], "open": page.body["data"][::2]}

    story.api.tell = tell
    story.configure(endpoint__data_selector="open")
    story.api.rows = everything
    story.project.sync()
    story.project.sync()
    story.configure(endpoint__data_selector="all")
    story.sync()


def another_cursor(story: Story) -> None:
    """From the time of creation to that of change."""
    story.api.keeps = lambda row, query: (
        changed_since(row, query)
        and ("created_since" not in query or row["created_at"] >= query["created_since"][:19])
    )
    old = {"cursor_path": "created_at", "start_param": "created_since", "lag": 60}
    new = {"cursor_path": "updated_at", "start_param": "updated_since", "lag": 60}
    story.configure(endpoint__incremental=old)
    story.loaded()
    change(story, 4, at=2)  # before the newest change, and not seen by this cursor
    story.sync("loaded|unproven")
    story.configure(endpoint__incremental=new)
    story.sync()


def same_list(**settings: Any) -> Callable[[Story], None]:
    """Settings that decide nothing about which records come: one request, as before."""

    def story(story: Story) -> None:
        story.loaded()
        story.configure(**settings)
        story.sync()
        story.sync()
        change(story, 3)
        story.api.served.clear()
        story.sync()
        asked = {page.query.get("updated_since") for page, _ in story.api.served}
        if None in asked:
            raise WrongError("everything is read again")

    return story


@contextmanager
def other_api(story: Story, rows: list[Any]) -> Any:
    """Another origin with other rows, which the project asks from now on."""
    with IncidentPages(story.api.style, story.api.page_rows) as api:
        api.rows, api.total = rows, story.api.total
        story.use(api)
        yield api


def strangers(adopted: bool) -> Callable[[Story], None]:
    """Another API, smaller and with ids of its own."""

    def story(story: Story) -> None:
        story.loaded()
        with other_api(story, records(20, first=501)):
            for _ in range(3):
                story.sync("red", LINE)
            if adopted:
                story.sync(mode="adopt")
                story.sync()
                story.quiet(story.run())

    return story


def relatives(story: Story) -> None:
    """Another origin, that has most of the incidents and a few more."""
    story.loaded()
    with other_api(story, [*records(30), *records(3, first=101)]):
        until_equal(story)
        story.sync()


def moved_house(story: Story) -> None:
    """The same API at another address."""
    story.loaded()
    with other_api(story, story.api.rows):
        story.sync()
        story.quiet(story.run())


def demo_first(rows: int) -> Callable[[Story], None]:
    """README's first two commands in a row, and ten syncs more."""

    def story(story: Story) -> None:
        project = story.project
        with Checkout(project.folder) as checkout:
            said = checkout.command(*project.command, **project.beside())
            if not re.search(r"[1-9],\d\d\d in all", said):
                raise WrongError(f"the demo: {said[-300:]}")
            if ".duckdb" not in said.partition("\nincident_data:")[0]:
                raise WrongError("the file is not named before the sync")
            if others := checkout.readable_by_others():
                raise WrongError(f"others can read {others}")
            story.api.rows = [record(n, n, status="own") for n in range(1, rows + 1)]
            own = project.environment(story.api.base_url, "own-key-1")
            checkout.command(*project.command, **own)
            change(story, 1, 2)
            checkout.syncs(10, project.source, **own)
            story.project.database = checkout.newest_database()
            if wrong := story.unequal():
                raise WrongError(f"the table is not equal to the own API: {wrong}")

    return story


def demo_into_a_named_file(story: Story) -> None:
    """The demo's incidents are in the file that is named; then an own API is configured."""
    own = story.api
    with DemoServer() as demo:
        story.project.use(demo.base_url, demo.api_key)
        story.sync("loaded")
        story.use(own)
        for _ in range(3):
            story.sync("red", LINE)
        story.sync(mode="adopt")
        change(story, 3, at=LATE)
        story.sync()


LATE = 1_100
TENANT = {"endpoint__params": {"tenant": "a"}}
CASES = [
    Case("the demo, then an own API of 12", demo_first(12)),
    Case("the demo into a named file, then an own API", demo_into_a_named_file),
    *(
        Case(
            f"a filter is removed: {style}",
            filter_removed(endpoint__params=None),
            style,
            total,
            settings=TENANT,
        )
        for style, total in (("offset", False), ("cursor", False), ("page number", True))
    ),
    Case("a filter is added", filter_added),
    Case("a filter is added: cursor", filter_added, "cursor"),
    Case("a header changes", header_removed),
    Case("another path", another_path),
    Case("another path: link", another_path, "link"),
    Case("another selector", another_selector, "single page"),
    Case("another cursor", another_cursor),
    Case("another page size", same_list(client__paginator__limit=20)),
    Case("another rate", same_list(requests_per_minute=6_000), "cursor"),
    *(
        Case(f"another API: {style}{', adopted' if adopted else ''}", strangers(adopted), style)
        for style, adopted in (
            ("offset", False),
            ("offset", True),
            ("cursor", True),
            ("page number", True),
        )
    ),
    Case("another API with most of the incidents", relatives),
    Case("another API with most of the incidents: link", relatives, "link"),
    Case("the same API at another address", moved_house),
    Case("the same API at another address: cursor", moved_house, "cursor", True),
]
