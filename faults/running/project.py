"""A project in a folder of its own, and its syncs.

A sync here is the whole sync without Dagster, in this process, into a real DuckDB file, or into a
PostgreSQL database (see `stores`); sections
that need Dagster, or a process to kill, start `python -m incidents_dagster` themselves.

A project knows which of its sources is tried. It is the only one, or the second: then the first one
is a `Neighbour`, and SQL names the schema as `{schema}`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import duckdb
import tomlkit

from fakes.incidents import KEY
from faults.running.neighbour import KEY as FIRST_KEY
from faults.running.neighbour import Neighbour
from faults.running.stores import FileRows, OnAFileError, rows_of_project
from faults.sources import FIRST
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import Settings, load_settings
from incidents_dagster.ingestion.sync import run_sync

ROOT = Path(__file__).resolve().parents[2]
# What a sync reads its settings from; taken out of sight while a project of ours is in use.
AMBIENT = ("SOURCES__", "DLT_", "DAGSTER_", "API_KEY", "INCIDENTS_", "WAREHOUSE__")


class Project:
    """A configured project: settings, secrets, database and dlt's folders in one folder.

    In use by one thread at a time, as `with in_project(...)` gives it: the environment is the
    process's.

    Attributes:
        source: The source that is tried, whose name is also its schema.
        neighbour: The first source, if that is another one.
        stored: Where its rows are.
    """

    def __init__(self, folder: Path, source: str = FIRST, first: Neighbour | None = None) -> None:
        self.folder = folder
        self.source, self.neighbour = source, first
        self.stored = rows_of_project(folder)
        self.home = folder / "warehouse.duckdb"
        self.said: list[str] = []  # by the last sync

    @property
    def database(self) -> Path:
        """The DuckDB file.

        Raises:
            OnAFileError: The rows are on a server.
        """
        return self._file.path

    @database.setter
    def database(self, path: Path) -> None:
        self._file.path = path

    @property
    def _file(self) -> FileRows:
        if not isinstance(self.stored, FileRows):
            raise OnAFileError
        return self.stored

    def configure(self, section: dict[str, Any] | None, **more: Any) -> None:
        """Writes config.toml: the source's section as given, or as the project ships it."""
        settings = tomlkit.parse((ROOT / ".dlt" / "config.toml").read_text()).unwrap()
        shipped = settings["sources"][FIRST]
        own = {**shipped} if section is None else section
        own.update(more)
        settings["sources"] = {self.source: own}
        if self.neighbour:
            settings["sources"][FIRST] = self.neighbour.section(shipped)
        (self.folder / ".dlt").mkdir(exist_ok=True)
        (self.folder / ".dlt" / "config.toml").write_text(tomlkit.dumps(settings))
        dlt.current.run_context().reload()

    def use(self, base_url: str, api_key: str = KEY) -> None:
        """Asks the API at this address from now on."""
        os.environ[self.variable("client", "base_url")] = base_url
        os.environ[self.secret("api_key")] = api_key
        if self.neighbour:
            os.environ["API_KEY"] = FIRST_KEY

    def variable(self, *path: str) -> str:
        """The environment variable of a setting of the source."""
        return "__".join(["sources", self.source, *path]).upper()

    def secret(self, field: str) -> str:
        """The environment variable of a secret of the source."""
        return field.upper() if self.source == FIRST else self.variable(field)

    def environment(self, base_url: str, api_key: str) -> dict[str, str]:
        """What has a project with the shipped settings ask this API for the source."""
        first = {}
        if self.neighbour:
            address = self.neighbour.api.base_url
            first = {"SOURCES__INCIDENTS__CLIENT__BASE_URL": address, "API_KEY": FIRST_KEY}
        own = {self.variable("client", "base_url"): base_url, self.secret("api_key"): api_key}
        return {**self.beside(), **first, **own}

    def beside(self) -> dict[str, str]:
        """What has a project with the shipped settings have the source, with the demo API."""
        if not self.neighbour:
            return {}
        return {
            "SOURCES__INCIDENTS__ALSO": json.dumps([self.source]),
            self.variable("preset"): "default",
        }

    @property
    def command(self) -> list[str]:
        """What `python -m incidents_dagster` needs to sync the source alone."""
        return ["sync", f"--source={self.source}"] if self.neighbour else ["sync"]

    def settings(self) -> Settings:
        """The source's settings, as they are now."""
        return load_settings(self.source)

    def settle(self) -> None:
        """Has the first source synced, if that is another one: from now on it may not change."""
        if self.neighbour:
            assert (message := self._sync_of(FIRST)) is None, message
            self.neighbour.settled(self.query)

    def disturbed(self) -> str:
        """What is wrong with the first source, if that is another one; nothing if all is well."""
        if not self.neighbour:
            return ""
        elsewhere = None
        if isinstance(self.stored, FileRows):
            elsewhere, self.database = self.database, self.home
        os.environ.update(self.stored.environment())
        self.configure(None)
        wrong = self.neighbour.disturbed(self.query)
        if not wrong and (message := self._sync_of(FIRST)) is not None:
            wrong = f"the first source no longer syncs: {message}"
        self.neighbour.settled(self.query)
        if elsewhere:
            self.database = elsewhere
        return wrong

    def sync(self, full_refresh: bool = False, reconcile: bool = False) -> str | None:
        """One sync: None where it was green, else its one message, as a user would see it."""
        self.said = []
        mode = Mode.FULL_REFRESH if full_refresh else Mode.INCREMENTAL
        mode = Mode.RECONCILE if reconcile else mode
        return self._sync_of(self.source, mode)

    def _sync_of(self, source: str, mode: Mode = Mode.INCREMENTAL) -> str | None:
        try:
            run_sync(load_settings(source), self.said.append, mode)
        except Exception as error:
            return redact(explain(error))
        return None

    def sql(self, text: str) -> str:
        """SQL with the source's schema for `{schema}`."""
        return text.replace("{schema}", self.source)

    def execute(self, *statements: str) -> None:
        """Runs SQL on the database."""
        with self.stored.connect() as connection:
            for sql in statements:
                connection.execute(self.sql(sql))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What `sql` finds in the database, times in UTC; nothing where there is no such table."""
        if not self.stored.is_there():
            return []
        with self.stored.connect(read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                return connection.execute(self.sql(sql)).fetchall()
            except duckdb.CatalogException:
                return []

    def rows(self, where: str = "true", table: str = "incident_data") -> list[dict[str, Any]]:
        """Rows as column → value, times in UTC; none where there is no such table."""
        names = [row[0] for row in self.query(f"SHOW {{schema}}.{table}")]
        found = self.query(f"FROM {{schema}}.{table} WHERE {where}") if names else []
        return [dict(zip(names, row, strict=True)) for row in found]

    def versions(self, *columns: str, table: str = "incident_data") -> dict[str, tuple[Any, ...]]:
        """id → the values of `columns`, of the rows that are not marked as deleted.

        Raises:
            AssertionError: Two rows share an id.
        """
        names = {row[0] for row in self.query(f"SHOW {{schema}}.{table}")}
        alive = "WHERE deleted_at IS NULL" if "deleted_at" in names else ""
        listed = ", ".join(["id", *columns])
        rows = self.query(f"SELECT {listed} FROM {{schema}}.{table} {alive}")
        found = {row[0]: row[1:] for row in rows}
        assert len(found) == len(rows), "two rows share an id"
        return found


@contextmanager
def in_project(base_url: str, api_key: str = KEY, source: str = FIRST) -> Iterator[Project]:
    """A new project for the API at `base_url`, as the repository ships it otherwise.

    Args:
        base_url: The API of the source that is tried.
        api_key: Its key.
        source: The source; a second one has a first one beside it, which has been synced.
    """
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(AMBIENT)}
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory())
            first = None if source == FIRST else stack.enter_context(Neighbour())
            project = Project(Path(folder), source, first)
            os.environ.update(
                DLT_PROJECT_DIR=folder,
                DLT_DATA_DIR=str(project.folder / "dlt"),
                **project.stored.environment(),
            )
            stack.callback(project.stored.remove)
            project.use(base_url, api_key)
            project.configure(None)
            project.settle()
            yield project
    finally:
        for name in list(os.environ):
            if name.startswith(AMBIENT):
                del os.environ[name]
        os.environ.update(kept)
        dlt.current.run_context().reload()
