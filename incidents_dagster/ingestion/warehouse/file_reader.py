"""Reads the DuckDB file for a sync, which shares it with other processes.

DuckDB lets a process have the file open to write only if no other one has it open at all. So it is
open while tables are compared, and not while the API is waited for. `destination` opens it to load.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb

from incidents_dagster.ingestion.warehouse.duckdb_file import holds_nothing, when_free
from incidents_dagster.ingestion.warehouse.store import StoreReader

# The file's name in SQL. No schema has the same, or DuckDB would not know which is meant.
ATTACHED = '"the file"'


class FileReader(StoreReader):
    """Reads the file as `read_only_connection` does, but has it open only while it is queried.

    It is opened by the first query, and closed by `release`; by then, the results of all queries
    have to be fetched. Other processes may write the file meanwhile, but not the tables of a sync
    that holds their lock.

    Attributes:
        name: The file.
        kind: As in `Store`.
    """

    kind = "duckdb"

    def __init__(
        self, database: Path, seconds: float, report: Callable[[str], None] | None = None
    ) -> None:
        """`seconds` and `report` as in `open_file`, each time that the file is opened."""
        self._database = database.resolve()
        self.name = str(self._database)
        self._seconds, self._report = seconds, report
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._open = self._attached = False

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._open, self._attached = None, False, False

    def release(self) -> None:
        """Closes the file until the next query."""
        if self._attached and self._connection is not None:
            self._connection.execute(f"USE memory; DETACH {ATTACHED}")
        self._open = self._attached = False

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = duckdb.connect(":memory:")
            # What does not fit into memory goes beside the file, as if that had been opened alone.
            self._connection.execute(
                f"SET TimeZone = 'UTC'; SET temp_directory = {_quoted(f'{self.name}.tmp')}"
            )
        connection = self._connection
        if not self._open and not holds_nothing(self._database):
            # That takes 1 ms, and another connection 10 or more, for every batch: a fifth of a full
            # read from a fast API.
            attach = f"ATTACH {_quoted(self.name)} AS {ATTACHED} (READ_ONLY)"
            when_free(
                lambda: connection.execute(attach), self._database, self._seconds, self._report
            )
            self._attached = True
            connection.execute(f"USE {ATTACHED}")
        self._open = True
        return connection


def _quoted(path: str) -> str:
    """A path in SQL."""
    return "'" + path.replace("'", "''") + "'"
