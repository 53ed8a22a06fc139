"""A DuckDB file as the store of the rows.

Puts together what the modules beside it know of the file. A process has it open to write alone, so
syncs of several sources, and readers, take turns; readers have a copy, too (`file_copy`).
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.tables import quoted
from incidents_dagster.ingestion.warehouse import duckdb_file, file_copy
from incidents_dagster.ingestion.warehouse.duckdb_file import WriteHold, alone_on, holds_nothing
from incidents_dagster.ingestion.warehouse.file_destination import (
    FileDestination,
    file_destination,
)
from incidents_dagster.ingestion.warehouse.file_errors import file_errors
from incidents_dagster.ingestion.warehouse.file_reader import FileReader
from incidents_dagster.ingestion.warehouse.store import Copied, Report, Room, Store, transaction
from incidents_dagster.ingestion.warehouse.working_folder import working_folder


class FileStore(Store):
    """A DuckDB file.

    Args:
        path: The file, which may not be there yet.
    """

    kind = "duckdb"

    def __init__(self, path: Path) -> None:
        # DuckDB keeps its log beside the path that it is given.
        self._path = duckdb_file.real(path)
        self.name, self.title, self.folder = str(self._path), self._path.name, self._path.parent
        self.catalog = duckdb_file.catalog(self._path)

    def is_empty(self) -> bool:
        """Whether there is no file, or none that holds data."""
        return holds_nothing(self._path)

    def connect(
        self,
        seconds: float,
        report: Report | None = None,
        read_only: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """Opens the file."""
        return duckdb_file.open_file(
            self._path, seconds, report, read_only=read_only, config=dict(config or {})
        )

    def writing(
        self, what: str, seconds: float, report: Report | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Opens the file, which nobody else can then."""
        return self.connect(seconds, report)

    @contextmanager
    def making(
        self, schema: str, inputs: Sequence[str], seconds: float, report: Report | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens the file, for one transaction."""
        with self.connect(seconds, report) as connection, transaction(connection):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
            yield connection

    def reader(self, seconds: float, report: Report | None = None) -> FileReader:
        """Reads the file, which is open only while it is queried."""
        return FileReader(self._path, seconds, report)

    def alone_on(self, source: str, seconds: float) -> AbstractContextManager[None]:
        """Locks a file beside it."""
        return alone_on(self._path, source, seconds)

    def working_folder(self, source: str, seconds: float) -> AbstractContextManager[Path]:
        """A folder beside the file; it is a second lock."""
        return working_folder(self._path, source, seconds)

    def destination(
        self, source: str, seconds: float, report: Report | None = None
    ) -> FileDestination:
        """dlt's DuckDB, which waits for the file and holds it for a load."""
        return file_destination(self._path, source, WriteHold(self._path, seconds, report))

    def errors(self) -> AbstractContextManager[None]:
        """Of the file, and of its disk."""
        return file_errors(self._path)

    def allow_reader(self, role: str) -> str:
        """A file has none."""
        raise SettingsError(
            f"{self.name} is a file, which has no roles: readers open its copy, {self.copy.name}. "
            "Roles are for a shared store (warehouse.url)."
        )

    def room(self) -> Room:
        """That of the file, and of its disk."""
        path = self._path
        taken = path.stat().st_size / 2**20 if path.exists() else None
        folder = next(parent for parent in path.parents if parent.exists())
        return Room(taken, shutil.disk_usage(folder).free / 2**20)

    def waiting_file(self, source: str) -> Path:
        """A file beside it."""
        return self._path.with_name(f"{self._path.name}.{source}.syncs")

    @property
    def copy(self) -> Path:
        """Where the copy for readers is."""
        return duckdb_file.read_copy_path(self._path)

    def refresh_copy(self, seconds: float, report: Report | None = None) -> Copied:
        """As `file_copy.refreshed`."""
        return file_copy.refreshed(self._path, seconds, report)

    def remove_copy(self, seconds: float) -> bool:
        """As `file_copy.removed`."""
        return file_copy.removed(self._path, seconds)
