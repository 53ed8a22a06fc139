"""What the sections share: a project in a folder of its own, and the outcome of a case.

A sync here is the whole sync without Dagster, in this process, into a real DuckDB file; sections
that need Dagster, or a process to kill, start `python -m incidents_dagster` themselves.
"""

import json
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import dlt
import duckdb
import tomlkit

from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync

ROOT = Path(__file__).resolve().parents[1]
# What a sync reads its settings from; taken out of sight while a project of ours is in use.
AMBIENT = ("SOURCES__", "DLT_", "DAGSTER_", "API_KEY", "INCIDENTS_")
UNEXPLAINED = re.compile(r"\w*(Error|Exception|Interrupt)\b|Traceback")


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        case: What was done to the sync.
        verdict: `right`: the sync was green and the table equals the source. `red`: it failed
            with a clear message, and the table is as it was. `wrong`: anything else.
        note: The message of a red sync, or what is wrong.
    """

    case: str
    verdict: Literal["right", "red", "wrong"]
    note: str = ""


@dataclass
class Result:
    """What came of a section.

    Attributes:
        outcomes: Of every case, or of those worth a line where there are thousands.
        figures: What the summary says, a name and a number each, such as `kills survived`.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    figures: dict[str, int | float] = field(default_factory=dict)


class Project:
    """A configured project: settings, secrets, database and dlt's folders in one folder.

    In use by one thread at a time, as `with in_project(...)` gives it: the environment is the
    process's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "warehouse.duckdb"
        self.said: list[str] = []  # by the last sync

    def configure(self, section: dict[str, Any] | None, **more: Any) -> None:
        """Writes config.toml: `[sources.incidents]` as given, or as the project ships it."""
        settings = tomlkit.parse((ROOT / ".dlt" / "config.toml").read_text()).unwrap()
        if section is not None:
            settings["sources"] = {"incidents": section}
        settings["sources"]["incidents"].update(more)
        (self.folder / ".dlt").mkdir(exist_ok=True)
        (self.folder / ".dlt" / "config.toml").write_text(tomlkit.dumps(settings))
        dlt.current.run_context().reload()

    def sync(self, **options: Any) -> str | None:
        """One sync: None where it was green, else its one message, as a user would see it."""
        self.said = []
        try:
            run_sync(load_settings(), self.said.append, **options)
        except Exception as error:
            return redact(explain(error))
        return None

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What `sql` finds in the database, times in UTC; nothing where there is no such table."""
        if not self.database.exists():
            return []
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                return connection.execute(sql).fetchall()
            except duckdb.CatalogException:
                return []

    def versions(self, *columns: str, table: str = "incident_data") -> dict[str, tuple[Any, ...]]:
        """id → the values of `columns`, of the rows that are not marked as deleted.

        Raises:
            AssertionError: Two rows share an id.
        """
        names = {row[0] for row in self.query(f"SHOW incidents.{table}")}
        alive = "WHERE deleted_at IS NULL" if "deleted_at" in names else ""
        rows = self.query(f"SELECT {', '.join(['id', *columns])} FROM incidents.{table} {alive}")
        found = {row[0]: row[1:] for row in rows}
        assert len(found) == len(rows), "two rows share an id"
        return found


@contextmanager
def in_project(base_url: str, api_key: str = "harness-key-1234567890") -> Iterator[Project]:
    """A new project for the API at `base_url`, as the repository ships it otherwise."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(AMBIENT)}
    try:
        with TemporaryDirectory() as folder:
            project = Project(Path(folder))
            os.environ.update(
                DLT_PROJECT_DIR=folder,
                DLT_DATA_DIR=str(project.folder / "dlt"),
                INCIDENTS_DUCKDB_PATH=str(project.database),
                SOURCES__INCIDENTS__CLIENT__BASE_URL=base_url,
                API_KEY=api_key,
            )
            project.configure(None)
            yield project
    finally:
        for name in list(os.environ):
            if name.startswith(AMBIENT):
                del os.environ[name]
        os.environ.update(kept)
        dlt.current.run_context().reload()


def judged(
    case: str,
    message: str | None,
    before: dict[str, Any],
    after: dict[str, Any],
    source: dict[str, Any],
) -> Outcome:
    """The outcome of one sync, from the versions in the table before and after, and the API's.

    Args:
        case: What was done.
        message: What the sync said when it failed; None for a green one.
        before: id → version in the table before the sync.
        after: The same after it.
        source: The same at the API.
    """
    if message is None:
        if after == source:
            return Outcome(case, "right")
        lost, extra = source.keys() - after.keys(), after.keys() - source.keys()
        other = [i for i in source.keys() & after.keys() if source[i] != after[i]]
        return Outcome(
            case,
            "wrong",
            f"green, with {len(lost)} rows lost, {len(extra)} too many, {len(other)} in another "
            f"version, such as {json.dumps(sorted(map(str, [*lost, *extra, *other]))[:3])}",
        )
    if after != before:
        return Outcome(case, "wrong", f"red, and the table changed: {message}")
    return Outcome(case, "red" if clear(message) else "wrong", message)


def clear(message: str) -> bool:
    """Whether that is one message of ours: one line, and no exception that nobody has explained."""
    return bool(message) and "\n" not in message and not UNEXPLAINED.match(message)


class HungError(BaseException):
    """A case took longer than it may; no `Exception`, so that nothing on the way keeps it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises `HungError` in the main thread where this lasts longer."""

    def stop(*_: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_processes(
    case: Callable[[int], Any], numbers: Iterable[int], processes: int = 2
) -> list[Any]:
    """What `case`, a function of a module, returns for each number, in their order.

    Each process has an environment, settings and databases of its own.
    """
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(case, numbers))


Section = Callable[[bool], Result]
