"""What is not ours is left alone: schemas, files, indexes, locks, other databases' figures."""

import os
from collections.abc import Callable
from pathlib import Path

from faults.cases.ordinary.case import Case, change, records
from faults.running.checkouts import Checkout
from faults.running.stories import Story, WrongError


def schema(name: str, first: bool) -> Callable[[Story], None]:
    """A user keeps a table in a schema of this name, from the beginning or later."""

    def story(story: Story) -> None:
        if not first:
            story.loaded()
        story.execute(
            f"CREATE SCHEMA IF NOT EXISTS {name}",
            f"CREATE TABLE {name}.mine AS SELECT 42 AS answer",
            f"CREATE VIEW {name}.seen AS FROM {name}.mine",
        )
        story.sync()
        change(story, 3, 4)
        story.sync()
        story.sync(mode="reconcile")
        if story.project.query(f"FROM {name}.seen") != [(42,)]:
            raise WrongError(f"the user's table {name}.mine is gone")

    return story


def foreign_file(content: bytes) -> Callable[[Story], None]:
    """Where the database should be, there is a file of another kind."""

    def story(story: Story) -> None:
        file = story.project.database
        file.write_bytes(content)
        message = story.project.sync()
        if file.read_bytes() != content:
            raise WrongError(f"a foreign file is replaced: {message}")
        if not message or file.name not in message:
            raise WrongError(f"no message names the file: {message}")
        file.unlink()
        story.project.settle()
        story.sync()

    return story


def index(*statements: str) -> Callable[[Story], None]:
    """A user's index on the table."""

    def story(story: Story) -> None:
        story.loaded()
        story.execute(*statements)
        change(story, 3, 4)
        story.sync()
        story.api.rows += records(2, first=101)
        for row in story.api.rows[-2:]:
            row["updated_at"] = row["created_at"] = "2025-01-01T00:00:00Z"
        story.sync()
        for row in story.api.rows:
            row["more"] = "a new column"
        story.sync(mode="full_refresh")

    return story


def lock_removed(during: bool) -> Callable[[Story], None]:
    """Somebody tidies up, and takes the lock file away."""

    def story(story: Story) -> None:
        story.loaded()

        def tidy() -> None:
            for file in story.project.folder.glob("*.lock"):
                file.unlink()

        change(story, 3)
        if during:
            story.api.tell = lambda page: (tidy(), page.body)[1]
        else:
            tidy()
        story.sync()
        change(story, 4, at=1_001)
        story.sync()

    return story


def two_databases(story: Story) -> None:
    """Two files under one history: each is held against its own syncs."""
    first, few = story.project.database, records(7, first=301)
    everything = story.api.rows
    story.quiet(story.run())
    _database(story, first.with_name("second.duckdb"))
    story.api.rows = few
    story.quiet(story.run())
    _database(story, first)
    story.api.rows = everything
    run = story.checks()
    story.quiet(run)
    _database(story, first.with_name("third.duckdb"))
    story.api.rows = few
    story.run()
    _database(story, first)
    story.api.rows = everything
    story.quiet(story.checks())


def _database(story: Story, file: Path) -> None:
    story.project.database = file
    os.environ["INCIDENTS_DUCKDB_PATH"] = str(file)


def history(elsewhere: str) -> Callable[[Story], None]:
    """A command that starts in another folder has the project's history."""

    def story(story: Story) -> None:
        story.api.rows = story.api.rows[:5]
        folder = story.project.folder / elsewhere
        folder.mkdir()
        with Checkout(story.project.folder) as checkout:
            project = story.project
            where = project.environment(story.api.base_url, "own-1")
            said = checkout.command(*project.command, cwd=folder, **where)
            if "succeeded" not in said:
                raise WrongError(said[-300:])
            if left := [str(f.relative_to(folder)) for f in folder.rglob("*")]:
                raise WrongError(f"a second history: {left[:3]}")
            if not (checkout.folder / "data" / "dagster").is_dir():
                raise WrongError("the project has no history")

    return story


TABLE = "{schema}.incident_data"
CASES = [
    *(
        Case(
            f"a user's schema {name.format(schema='…')}, {when}",
            schema(name, first=when != "later"),
        )
        for name, when in (
            ("{schema}_staging", "later"),
            ("{schema}_staging", "from the beginning"),
            ("{schema}_other_staging", "later"),
            ("staging", "from the beginning"),
        )
    ),
    *(
        Case(f"a file of another kind: {name}", foreign_file(content))
        for name, content in {
            "eight bytes": b"12345678",
            "a text": b"Dear diary, today I have had no incident.\n" * 40,
            "SQLite": b"SQLite format 3\0" + bytes(4_080),
            "zeros": bytes(20_000),
            "three bytes": b"abc",
        }.items()
    ),
    *(
        Case(f"a user's index: {name}", index(*statements))
        for name, statements in {
            "on status": (f"CREATE INDEX mine ON {TABLE} (status)",),
            "on the key": (f"CREATE INDEX mine ON {TABLE} (id)",),
            "unique": (f"CREATE UNIQUE INDEX mine ON {TABLE} (id)",),
            "on two": (
                f"CREATE INDEX mine ON {TABLE} (updated_at)",
                f"CREATE INDEX theirs ON {TABLE} (title, status)",
            ),
        }.items()
    ),
    Case("a lock file is removed between syncs", lock_removed(during=False)),
    Case("a lock file is removed during a sync", lock_removed(during=True)),
    Case("a lock file is removed during a sync: cursor", lock_removed(during=True), "cursor"),
    Case("two databases under one history", two_databases),
    Case("two databases under one history: cursor", two_databases, "cursor", True),
    Case("history, from another folder", history("elsewhere")),
]
