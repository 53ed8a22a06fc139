"""A project in a folder of its own, and its syncs.

A sync here is the whole sync without Dagster, in this process, into a real DuckDB file; sections
that need Dagster, or a process to kill, start `python -m incidents_dagster` themselves.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import duckdb
import tomlkit

from fakes.incidents import KEY
from incidents_dagster.ingestion.explain import explain
from incidents_dagster.ingestion.landing.changes import Mode
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings import load_settings
from incidents_dagster.ingestion.sync import run_sync

ROOT = Path(__file__).resolve().parents[2]
# What a sync reads its settings from; taken out of sight while a project of ours is in use.
AMBIENT = ("SOURCES__", "DLT_", "DAGSTER_", "API_KEY", "INCIDENTS_")


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

    def use(self, base_url: str, api_key: str = KEY) -> None:
        """Asks the API at this address from now on."""
        os.environ.update(SOURCES__INCIDENTS__CLIENT__BASE_URL=base_url, API_KEY=api_key)

    def sync(self, full_refresh: bool = False, reconcile: bool = False) -> str | None:
        """One sync: None where it was green, else its one message, as a user would see it."""
        self.said = []
        mode = Mode.FULL_REFRESH if full_refresh else Mode.INCREMENTAL
        mode = Mode.RECONCILE if reconcile else mode
        try:
            run_sync(load_settings(), self.said.append, mode)
        except Exception as error:
            return redact(explain(error))
        return None

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What `sql` finds in the database, times in UTC; nothing where there is no such table."""
        if not self.database.is_file():
            return []
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                return connection.execute(sql).fetchall()
            except duckdb.CatalogException:
                return []

    def rows(self, where: str = "true", table: str = "incident_data") -> list[dict[str, Any]]:
        """Rows as column → value, times in UTC; none where there is no such table."""
        names = [row[0] for row in self.query(f"SHOW incidents.{table}")]
        found = self.query(f"FROM incidents.{table} WHERE {where}") if names else []
        return [dict(zip(names, row, strict=True)) for row in found]

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
def in_project(base_url: str, api_key: str = KEY) -> Iterator[Project]:
    """A new project for the API at `base_url`, as the repository ships it otherwise."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(AMBIENT)}
    try:
        with TemporaryDirectory() as folder:
            project = Project(Path(folder))
            os.environ.update(
                DLT_PROJECT_DIR=folder,
                DLT_DATA_DIR=str(project.folder / "dlt"),
                INCIDENTS_DUCKDB_PATH=str(project.database),
            )
            project.use(base_url, api_key)
            project.configure(None)
            yield project
    finally:
        for name in list(os.environ):
            if name.startswith(AMBIENT):
                del os.environ[name]
        os.environ.update(kept)
        dlt.current.run_context().reload()
