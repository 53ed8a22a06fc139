"""A reconcile learns and tells: what incremental syncs should have brought, and did not."""

from typing import Any

from faults.cases.ordinary.case import BEGIN, Case, change, hours, record, records
from faults.running.stories import Story, WrongError

CHECK = "incremental_misses_nothing"


def tells(run: Any, number: int, example: str) -> None:
    """The check warns, with how many and one of them."""
    said = run.warned.get(CHECK, "")
    if str(number) not in said or example not in said:
        raise WrongError(f"{CHECK} does not name {number} and {example}: {said or 'it is silent'}")


def blind(story: Story) -> None:
    """Changes of a declared column that leave the cursor as it is."""
    story.loaded()
    for place in (4, 5, 6):
        story.api.rows[place] = {**story.api.rows[place], "status": "closed"}
    story.sync("loaded")
    tells(story.run(mode="reconcile"), 3, "INC-00")
    story.quiet(story.run(mode="reconcile"))


def backdated(story: Story) -> None:
    """New records whose time the cursor had passed."""
    story.loaded()
    story.api.rows += [record(n, 5) for n in (101, 102, 103, 104)]
    story.sync("loaded")
    tells(story.run(mode="reconcile"), 4, "INC-010")


def by_creation(story: Story) -> None:
    """A filter on the creation, and a cursor to match: changes are never asked for."""
    story.api.keeps = lambda row, query: (
        "created_since" not in query or row["created_at"] >= query["created_since"][:19]
    )
    story.configure(
        endpoint__incremental={
            "cursor_path": "created_at",
            "start_param": "created_since",
            "lag": 60,
        }
    )
    story.loaded()
    change(story, 4, 5, 6, 7, 8)
    story.sync("loaded")
    tells(story.run(mode="reconcile"), 5, "INC-00")


def filter_on_creation(story: Story) -> None:
    """The cursor is the time of change, but the parameter filters by that of creation."""
    story.api.keeps = lambda row, query: (
        "updated_since" not in query or row["created_at"] >= query["updated_since"][:19]
    )
    story.loaded()
    change(story, 4, 5, 6, 7)
    story.project.sync()
    tells(story.run(mode="reconcile"), 4, "INC-00")


def harmless(story: Story) -> None:
    """Signed links and counters, which are in no declared column, and ordinary changes."""
    for row in story.api.rows:
        row |= {"url": f"https://files/{row['id']}?signature=1", "views": 1}
    story.loaded()
    for number, row in enumerate(story.api.rows):
        row |= {"url": f"https://files/{row['id']}?signature=2", "views": 2 + number}
    story.quiet(story.run(mode="reconcile"))
    change(story, 2, 3)
    story.api.rows += records(2, first=101)
    for row in story.api.rows[-2:]:
        row["updated_at"] = row["created_at"] = record(1, 1_001)["updated_at"]
    story.sync("loaded")
    story.quiet(story.run(mode="reconcile"))


def from_a_value_on(story: Story) -> None:
    """Records without a time of change come with every request, so they are never missed."""
    story.configure(
        endpoint__incremental={
            "cursor_path": "updated_at",
            "start_param": "updated_since",
            "initial_value": BEGIN.isoformat(),
            "lag": 60,
        }
    )
    for place in (3, 4):
        story.api.rows[place]["updated_at"] = None
    story.quiet(story.run())
    story.quiet(story.run())
    story.api.rows += [{**record(101), "updated_at": None}]
    story.api.rows[3] = {**story.api.rows[3], "status": "closed"}
    story.quiet(story.run(mode="reconcile"))
    story.quiet(story.run())


def before_the_value(story: Story) -> None:
    """The API does not know the filter, so that a full read brings older records, too."""
    story.api.keeps = lambda row, query: True
    story.configure(
        endpoint__incremental={
            "cursor_path": "updated_at",
            "start_param": "updated_since",
            "initial_value": hours(10),
            "lag": 60,
        }
    )
    story.quiet(story.run())
    story.quiet(story.run(mode="reconcile"))


def ignored(story: Story) -> None:
    """The API does not know the parameter of the filter, and returns all records."""
    story.api.keeps = lambda row, query: True
    story.loaded()
    change(story, 4)
    story.sync(says=r"updated_since|start_param|filter")


def heeded(story: Story) -> None:
    """All records have changed, so that all come, though the filter is heeded."""
    story.loaded()
    for place in range(len(story.api.rows)):
        change(story, place, at=1_000 + place)
    run = story.run()
    story.quiet(run)
    if "start_param" in run.said or "ignore" in run.said:
        raise WrongError(f"the filter is not ignored, but {run.said[:200]}")


CASES = [
    Case("status changes, the cursor does not", blind),
    Case("status changes, the cursor does not: cursor", blind, "cursor"),
    Case("status changes, the cursor does not: page number", blind, "page number", True),
    Case("new records of an older time", backdated),
    Case("new records of an older time: link", backdated, "link"),
    Case("the cursor is the creation", by_creation),
    Case("the cursor is the creation: cursor", by_creation, "cursor", True),
    Case("the filter is on the creation", filter_on_creation),
    Case("the filter is on the creation: link", filter_on_creation, "link"),
    *(
        Case(f"signed links and counters: {style}", harmless, style, total)
        for style, total in (("offset", False), ("cursor", True), ("page number", False))
    ),
    Case("an initial_value, and records without a cursor", from_a_value_on),
    Case("an initial_value, and records without a cursor: cursor", from_a_value_on, "cursor", True),
    Case("an initial_value that is ignored", before_the_value, "cursor"),
    *(
        Case(f"a filter that is ignored: {style}", ignored, style)
        for style in ("offset", "cursor", "single page")
    ),
    Case("a filter that is heeded, and all has changed", heeded),
]
