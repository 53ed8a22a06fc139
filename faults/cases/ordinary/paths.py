"""Paths that are mistyped, and paths that change between syncs."""

from collections.abc import Callable

from faults.cases.ordinary.alerts import (
    FIELDS,
    SETTINGS,
    Value,
    begin,
    change,
    in_column,
    want,
)
from faults.cases.ordinary.case import LATER, Case, hours
from faults.running.stories import Story, WrongError


def mistyped(column: str, path: str, says: str) -> Callable[[Story], None]:
    """A path that no record has: in the first sync, and in a later change."""

    def story(story: Story) -> None:
        begin(story)
        wrong, right = {f"resource__fields__{column}": path}, FIELDS[column]
        story.configure(**wrong)
        story.sync("red", rf"fields\.{column}.*{says}")
        if story.table("true"):
            raise WrongError("red, and rows are loaded")
        story.configure(**{f"resource__fields__{column}": right})
        story.sync()
        change(story, 4)
        story.configure(**wrong)
        story.sync("red", rf"fields\.{column}.*{says}")
        story.configure(**{f"resource__fields__{column}": right})
        story.sync()

    return story


def optional_mistyped(story: Story) -> None:
    """A column that need not be there is empty, and full once its path is right."""
    begin(story, severity=lambda _: None)
    story.configure(resource__fields__severity="labels.severty")
    story.sync()
    want(story)
    story.configure(resource__fields__severity="labels.severity")
    change(story, 4)
    story.sync()


def path_changes(column: str, path: str, value: Value | None = None) -> Callable[[Story], None]:
    """Another path between two syncs reaches every row, and so does the way back.

    Args:
        column: What is filled.
        path: The other path.
        value: What is there; None for the API's own field of the column's name.
    """

    def story(story: Story) -> None:
        begin(story)
        for number, row in enumerate(story.api.rows):
            row |= {"seen": hours(number - 500), "created_at": hours(number - 300)}
            row |= {"updated_at": hours(number - 200)}
        story.sync()
        if value:
            want(story, **{column: value})
        else:
            want(story, column)
        story.configure(**{f"resource__fields__{column}": path})
        change(story, 7)
        story.sync()
        in_column(story, column)
        story.sync()
        want(story)
        story.configure(**{f"resource__fields__{column}": FIELDS[column]})
        change(story, 8, at=LATER + 1)
        story.sync()
        in_column(story, column)

    return story


def id_changes(story: Story) -> None:
    """Another path for the id: no row is told from those of another source, until adopted."""
    begin(story)
    story.sync()
    want(story, "id")
    story.configure(resource__fields__id="id")
    for _ in range(2):
        story.sync("red", "--adopt")
    story.sync(mode="adopt")
    change(story, 4)
    story.sync()


def own_column(story: Story) -> None:
    """The API's own title is a column; then a path fills that one; then none does again."""
    begin(story)
    story.sync()
    want(story, title=lambda row: row["labels"]["level"])
    story.configure(resource__fields__title="labels.level")
    story.sync()
    change(story, 4)
    story.sync()
    in_column(story, "title")
    want(story)
    story.configure(resource__fields__title=None)
    change(story, 5, at=LATER + 1)
    story.sync()
    in_column(story, "title")


CASES = [
    *(
        Case(f"a mistyped path of {column}", mistyped(column, path, says), style, settings=SETTINGS)
        for column, path, says, style in (
            ("id", "fingerprnt", "fingerprint", "offset"),
            ("status", "status.stat", r"status\.state", "cursor"),
            ("updated_at", "updated", "updatedAt", "link"),
        )
    ),
    Case("a mistyped path of a column that need not be", optional_mistyped, settings=SETTINGS),
    Case(
        "another path of severity",
        path_changes("severity", "labels.level", lambda row: row["labels"].get("level")),
        settings=SETTINGS,
    ),
    Case(
        "another path of updated_at, which is older",
        path_changes("updated_at", "seen", lambda row: row["seen"]),
        settings=SETTINGS,
    ),
    *(
        Case(
            f"from a path of {column} to the API's own field",
            path_changes(column, column),
            settings=SETTINGS,
        )
        for column in ("created_at", "updated_at")
    ),
    Case("another path of the id", id_changes, settings=SETTINGS),
    Case("a path for a column that the API had filled", own_column, settings=SETTINGS),
]
