"""A quiet week of a healthy API, by each paginator: no warning but those that are true."""

from collections.abc import Callable

from fakes.paginators import PAGINATORS
from faults.cases.ordinary.case import Case, change, hours, record
from faults.running.stories import Story

# What may be said of a purge, and of deletions that wait for their second look.
TRUE = ("oldest|window", "second look|again|wait|missing")


def new(story: Story, number: int, at: float) -> None:
    """An incident is opened."""
    story.api.rows.append({**record(number, at), "created_at": hours(at)})


def signed(story: Story, day: int) -> None:
    """Links that are signed anew, and counters that count."""
    for row in story.api.rows:
        number = int(row["id"][-4:])
        row |= {"link": f"https://files.test/{number}?sig={day}", "views": day + number}


def week(story: Story) -> None:
    """Changes, signed links and counters, a purge of old rows, ten deletions; each is told once."""
    signed(story, 1)
    story.loaded()
    change(story, 40, 41, at=1_000)
    new(story, 101, 1_001)
    signed(story, 2)
    story.sync("loaded")  # a link that is signed anew is no change at the API
    story.sync("loaded")
    signed(story, 3)
    story.quiet(story.run(mode="reconcile"))
    del story.api.rows[30:40]
    run = story.run("loaded", mode="reconcile")
    story.quiet(run, *TRUE)
    signed(story, 3)
    story.quiet(story.run())
    new(story, 102, 1_010)
    story.quiet(story.run())


def purge(story: Story) -> None:
    """The oldest rows are purged; whatever that is taken for, only true things are said."""
    story.loaded()
    story.api.rows = story.api.rows[25:]
    for mode in ("reconcile", "reconcile"):
        story.quiet(story.run("loaded", mode=mode), *TRUE)
    change(story, 5)
    story.quiet(story.run("loaded"), *TRUE)


def one_page(story: Story) -> None:
    """A small API of one page, on days without anything new."""
    story.loaded()
    story.quiet(story.run())
    change(story, 3)
    story.sync()
    story.quiet(story.run(mode="reconcile"))


def history(story: Story) -> None:
    """A list of versions, each with an id and a link of its own; the newest is in the table."""
    story.key = ("number",)
    for place, row in enumerate(story.api.rows):
        first = place % 12
        row |= {"number": first, "title": f"Incident {first}", "created_at": hours(first)}
        row |= {"link": f"https://files.test/{place}", "comment": f"Step {place}"}
    story.configure(resource_defaults__primary_key="number", columns__id=None)
    story.loaded()
    story.quiet(story.run(mode="full_refresh"))
    row = story.api.rows[30]
    story.api.rows.append({**row, "id": "v-99", "updated_at": hours(1_000), "title": "New title"})
    story.quiet(story.run())
    story.quiet(story.run(mode="full_refresh"))


def starred(story: Story) -> None:
    """A starred incident comes twice on a page, with another flag and link; the user vouches."""
    first = {**story.api.rows[4], "starred": True, "link": "/starred/4"}
    rows = [{**row, "starred": False, "link": f"/{n}"} for n, row in enumerate(story.api.rows)]
    story.api.rows = [first, *rows]
    story.sync("unproven", "primary_key")
    story.configure(accept_unproven=True)
    story.sync("accepted", mode="full_refresh")


STYLES = [style for style in PAGINATORS if style not in ("auto", "offset and total")]
LIMITED = {"endpoint__params": {"limit": 10}}


def cases(name: str, story: Callable[[Story], None], rows: int, styles: list[str]) -> list[Case]:
    """A case for each paginator, every second one with a total."""
    return [
        Case(
            f"{name}: {style}{', a total' if number % 2 else ''}",
            story,
            style,
            bool(number % 2),
            settings=LIMITED,
            rows=rows,
        )
        for number, style in enumerate(styles)
    ]


CASES = [
    *cases("a week", week, 60, STYLES),
    *cases("one page", one_page, 7, STYLES[1::2]),
    *cases("versions with ids of their own", history, 40, ["cursor", "single page", "offset"]),
    *(Case(f"a starred one: {style}", starred, style) for style in ("single page", "cursor")),
    *cases("a purge", purge, 70, ["offset", "cursor", "single page"]),
]
